import signal
import subprocess
import sys

# Ctrl-C, sent while the module `{name}` is looked for
INTERRUPTED = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)
{ignore}
sys.meta_path.insert(0, Finder())
sys.argv[1:] = ["version", "--short"]
from sampan.cli.entry import main
sys.exit(main())
"""


def interrupted(name, ignore=""):
    return subprocess.run(
        [sys.executable, "-c", INTERRUPTED.format(name=name, ignore=ignore)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_ctrl_c_before_anything_is_imported_says_nothing():
    done = interrupted("sampan.cli.main")
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_ctrl_c_later_is_told():
    done = interrupted("sampan.cli.version")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "sampan: interrupted\n")


def test_who_ignores_it_goes_on():
    done = interrupted("sampan.cli.main", "signal.signal(signal.SIGINT, signal.SIG_IGN)")
    assert (done.returncode, done.stderr) == (0, "")
