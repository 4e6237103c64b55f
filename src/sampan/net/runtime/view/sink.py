"""Where captures go: files that are rotated, or a reader that pulls.

Files are written whole blocks at a time, so that each of them can be read at any moment, and after
a crash.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from sampan.errors import UsageError

MAX_WAITING = 1 << 20


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """When a file has enough, and how many are kept; 0: never, and all.

    Attributes:
        max_bytes: of one file; what is written at once goes into one.
        max_seconds: from a file's first block on.
        max_files: the last ones; older ones are removed.
    """

    max_bytes: int = 0
    max_seconds: float = 0.0
    max_files: int = 0

    def check(self) -> None:
        """Refuse what makes no sense.

        Raises:
            UsageError: a number is negative, or files are counted that are never begun.
        """
        if min(self.max_bytes, self.max_seconds, self.max_files) < 0:
            raise UsageError("a capture cannot have files of a negative size, time or number")
        if self.max_files and not (self.max_bytes or self.max_seconds):
            raise UsageError(
                "the files of a capture are counted, but nothing says when one has enough",
                hint="say how large one becomes, or for how long one is written",
            )


class FileSink:
    """A file, or several: `x.pcapng`, then `x-1.pcapng`, `x-2.pcapng`, … as `rotation` says.

    Files that were there are replaced. A file that follows is made when there is something for it.

    Args:
        path: of the first.
        rotation: when the next begins.
        now: gives seconds, for rotation by time.
        waits: whether this may wait for the reader of a pipe; a network may not.

    Raises:
        UsageError: the file cannot be made, or the rotation makes no sense.
    """

    def __init__(
        self,
        path: Path,
        rotation: Rotation | None = None,
        *,
        now: Callable[[], float] = time.monotonic,
        waits: bool = False,
    ) -> None:
        self.path = path
        self._rotation = rotation or Rotation()
        self._rotation.check()
        self._now = now
        self._waits = waits
        self._written = 0
        self._since = 0.0
        self._number = 0
        self._files = deque([path])
        try:
            self._fd = _open(path, waits=waits)
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}") from error

    @property
    def is_full(self) -> bool:
        """See `capture.Sink`: a disk says so by an error."""
        return False

    def write(self, blocks: bytes) -> bool:
        """See `capture.Sink`."""
        if self._fd < 0:
            self._follow()
        if not self._written:
            self._since = self._now()
        view = memoryview(blocks)
        while view:
            view = view[os.write(self._fd, view) :]
        self._written += len(blocks)
        if 0 < self._rotation.max_bytes <= self._written:
            self.close()
            return True
        return self.look()

    def look(self) -> bool:
        """See `capture.Sink`."""
        limit = self._rotation.max_seconds
        if self._fd < 0 or not limit or not self._written or self._now() < self._since + limit:
            return False
        self.close()
        return True

    def _follow(self) -> None:
        """Make the next file, and remove the first of too many."""
        self._number += 1
        following = self.path.with_name(f"{self.path.stem}-{self._number}{self.path.suffix}")
        self._fd, self._written = _open(following, waits=self._waits), 0
        self._files.append(following)
        while self._rotation.max_files and len(self._files) > self._rotation.max_files:
            self._files.popleft().unlink(missing_ok=True)

    def close(self) -> None:
        """See `capture.Sink`."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class PullSink:
    """Keeps blocks until they are pulled. `wake` is called when there is something.

    It is full at `MAX_WAITING` bytes: then the capture keeps frames back.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self.ended = False
        self._wake = wake
        self._waiting: list[bytes] = []
        self._size = 0

    @property
    def is_full(self) -> bool:
        """See `capture.Sink`."""
        return self._size >= MAX_WAITING

    def write(self, blocks: bytes) -> bool:
        """See `capture.Sink`."""
        self._waiting.append(blocks)
        self._size += len(blocks)
        self._wake()
        return False

    def look(self) -> bool:
        """See `capture.Sink`: there is only one."""
        return False

    def pull(self) -> bytes:
        """What there is; empty if there is nothing now."""
        blocks = b"".join(self._waiting)
        self._waiting.clear()
        self._size = 0
        return blocks

    def close(self) -> None:
        """See `capture.Sink`: nothing more will come."""
        self.ended = True
        self._wake()


def _open(path: Path, *, waits: bool) -> int:
    """Only its owner may read a capture: it holds what others said.

    Raises:
        OSError: it cannot be written, or is a pipe and may not be waited for.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    fd = os.open(path, flags if waits else flags | os.O_NONBLOCK, 0o600)
    if not waits and stat.S_ISFIFO(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.ESPIPE, "it is a pipe")
    return fd
