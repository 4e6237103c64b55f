"""Running a command in the background: started anew by itself, watched until it says it goes on.

The child does everything the command does. What it says until it is ready appears here, errors
with their status included; then it lets go of this terminal, and its parent ends.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

_VARIABLE = "SAMPAN_DETACHED"  # the descriptor where the child says that it is ready
_READ = 4096


class Started(NamedTuple):
    """How the start of a child in the background went; `name` is what it says it is called."""

    status: int
    name: str = ""


def start(words: Sequence[str]) -> Started:
    """Run `sampan` with `words` in the background, and wait until it is ready or has ended."""
    from sampan.base import proc

    ours, theirs = os.pipe()
    with closing(os.fdopen(ours, "rb")) as reader:
        try:
            child = proc.start(
                [sys.executable, "-m", "sampan", *words],
                env={_VARIABLE: str(theirs)},
                pass_fds=(theirs,),
                new_session=True,
            )
        finally:
            os.close(theirs)
        try:
            name = reader.read().decode()
        except BaseException:
            child.terminate()
            child.wait()
            raise
    if name:
        child.returncode = 0  # it is nobody's child from now on
        return Started(0, name)
    return Started(child.wait())


class Detached:
    """This process, as such a child."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def ready(self, name: str, log: Path) -> None:
        """Tell the parent, and let go of the terminal: what is said from here on goes to `log`."""
        if self._descriptor < 0:
            return
        sys.stdout.flush()
        sys.stderr.flush()
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        output = os.open(log, flags, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        os.write(self._descriptor, name.encode())
        os.close(self._descriptor)
        self._descriptor = -1


def inherited() -> Detached | None:
    """What to tell the parent by, if this process was started by `start`."""
    text = os.environ.pop(_VARIABLE, "")
    if not text.isdigit():
        return None
    descriptor = int(text)
    os.set_inheritable(descriptor, False)
    return Detached(descriptor)
