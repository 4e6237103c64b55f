"""Where captures go: files that are rotated, or a reader that pulls."""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Callable
from pathlib import Path

from sampan.errors import UsageError

MAX_WAITING = 1 << 20


class FileSink:
    """A file, or several: `x.pcapng`, then `x-1.pcapng`, `x-2.pcapng`, … of `max_bytes` each.

    Of those, the last `max_files` are kept; 0: all. Files that were there are replaced.

    Raises:
        UsageError: the file cannot be made.
    """

    def __init__(self, path: Path, *, max_bytes: int = 0, max_files: int = 0) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._written = 0
        self._number = 0
        self._files = deque([path])
        try:
            self._fd = _open(path)
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}") from error

    @property
    def is_full(self) -> bool:
        """See `capture.Sink`: a disk says so by an error."""
        return False

    def write(self, blocks: bytes) -> bool:
        """See `capture.Sink`."""
        view = memoryview(blocks)
        while view:
            view = view[os.write(self._fd, view) :]
        self._written += len(blocks)
        if not self._max_bytes or self._written < self._max_bytes:
            return False
        self._number += 1
        following = self.path.with_name(f"{self.path.stem}-{self._number}{self.path.suffix}")
        fd = _open(following)
        os.close(self._fd)
        self._fd, self._written = fd, 0
        self._files.append(following)
        while self._max_files and len(self._files) > self._max_files:
            self._files.popleft().unlink(missing_ok=True)
        return True

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


def _open(path: Path) -> int:
    """Only its owner may read a capture: it holds what others said.

    A pipe is none for us: opening and writing would wait for its reader, and the network with it.

    Raises:
        OSError: it cannot be written, or is a pipe.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NONBLOCK
    fd = os.open(path, flags, 0o600)
    if stat.S_ISFIFO(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.ESPIPE, "it is a pipe")
    return fd
