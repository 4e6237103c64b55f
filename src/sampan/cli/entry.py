"""The program `sampan`, from its first instruction on.

Most of the time a short command takes goes into imports. Until they are done nothing can say
"interrupted", so Ctrl-C then ends the process without a word, as it does programs that are not
written in Python. This module must not import anything that takes time.
"""

import signal


def main() -> int:
    """Run the command line of this process; returns its exit status."""
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not if it is ignored
    if ours:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from sampan.cli.main import main as run

    if ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return run()
