"""A text file of the host that is read again when it changes.

Its time, size and inode are looked at, at most once in `EVERY_S`, when somebody asks: no
watches that a rename or another filesystem breaks. A file that is gone for a moment, as when
it is being replaced, counts as unchanged.
"""

from __future__ import annotations

import os
from pathlib import Path

EVERY_S = 1.0
MAX_SIZE = 1 << 20


class FollowedFile:
    """The text of one file. `problem` says why it could not be read the last time, if so."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem = ""
        self._seen: tuple[int, int, int] | None = None
        self._next = float("-inf")

    def look(self, now: float) -> str | None:
        """The text if it is not what it was the last time; None as long as it is.

        What is not UTF-8 in it is replaced; what is beyond `MAX_SIZE` bytes is not read.
        """
        if now < self._next:
            return None
        self._next = now + EVERY_S
        try:
            status = self.path.stat()
            mark = status.st_mtime_ns, status.st_size, status.st_ino
            if mark == self._seen:
                return None
            # (which closes what it cannot read, as a folder; os.fdopen does not)
            with open(self.path, "rb", opener=_without_waiting) as stream:
                data = stream.read(MAX_SIZE)
        except OSError as error:
            self.problem = f"cannot read {self.path}: {error.strerror}"
            return None
        self.problem = ""
        self._seen = mark
        return (data or b"").decode("utf-8", "replace")


def _without_waiting(path: str, flags: int) -> int:
    """Open a file that may be a pipe nobody writes to."""
    return os.open(path, flags | os.O_NONBLOCK)
