"""What a console said, as plain text in a file that does not grow without end.

The file holds the last run. When it has `limit` bytes it becomes `NAME.1`, and a new one is begun:
there are never more than twice as many. A disk that is full costs the log, not the machine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sampan.base import log
from sampan.machine.console import PlainText

LIMIT_BYTES = 4 << 20
POLL_S = 0.2
_log = log.get(__name__)


class LogFile:
    """Takes the bytes of a console; `attach` its `write`."""

    def __init__(self, path: Path, *, limit: int = LIMIT_BYTES) -> None:
        self._path = path
        self._limit = limit
        self._plain = PlainText()
        self._written = 0
        _earlier(path).unlink(missing_ok=True)
        self._descriptor = self._open()

    def write(self, data: bytes) -> None:
        """The console said `data`."""
        text = memoryview(self._plain.feed(data))
        if self._descriptor < 0:
            return
        try:
            while text:
                if self._written >= self._limit:
                    self._rotate()
                count = os.write(self._descriptor, text[: self._limit - self._written])
                self._written += count
                text = text[count:]
        except OSError as error:
            _log.warning("%s is not written any more: %s", self._path, error.strerror)
            self.close()

    def close(self) -> None:
        """Write no more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _rotate(self) -> None:
        self._path.replace(_earlier(self._path))
        os.close(self._descriptor)
        self._descriptor = -1
        self._descriptor = self._open()
        self._written = 0

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        return os.open(self._path, flags, 0o600)


def read(path: Path, *, tail: int | None = None) -> bytes:
    """All that is kept, or the last `tail` lines of it."""
    return _last_lines(_content(_earlier(path)) + _content(path), tail)


class Follower:
    """Reads a log file as it grows, across its rotation."""

    def __init__(self, path: Path, *, tail: int | None = None) -> None:
        self._path = path
        self._inode = _inode(path)
        earlier, current = _content(_earlier(path)), _content(path)
        self._offset = len(current)
        text = _last_lines(earlier + current, tail)
        self._first = [text] if text else []

    def news(self) -> bytes:
        """What came since the last call; at first, what was there."""
        if self._first:
            return self._first.pop()
        news = b""
        inode = _inode(self._path)
        if inode != self._inode:  # what was not read yet of the one before
            news = _content(_earlier(self._path), self._offset)
            self._inode, self._offset = inode, 0
        more = _content(self._path, self._offset)
        self._offset += len(more)
        return news + more


def follow(
    path: Path, goes_on: Callable[[], bool], *, tail: int | None = None, poll_s: float = POLL_S
) -> Iterator[bytes]:
    """What is in the file (its last `tail` lines), then what is added, until `goes_on` says no."""
    follower = Follower(path, tail=tail)
    while True:
        is_over = not goes_on()  # asked first: what is written meanwhile is still read
        while news := follower.news():
            yield news
        if is_over:
            return
        time.sleep(poll_s)


def _earlier(path: Path) -> Path:
    return path.with_name(f"{path.name}.1")


def _content(path: Path, offset: int = 0) -> bytes:
    try:
        with path.open("rb") as stream:
            stream.seek(offset)
            return stream.read()
    except FileNotFoundError:
        return b""


def _last_lines(text: bytes, count: int | None) -> bytes:
    if count is None:
        return text
    return b"".join(text.splitlines(keepends=True)[-count:]) if count > 0 else b""


def _inode(path: Path) -> int:
    """Which file is at `path`; 0: none."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0
