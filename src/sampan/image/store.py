"""Finished work on disk: `<cache>/steps`, by the hash of all that determines it.

A file appears under its name only when it is complete. It is not forced onto the disk (it can
be made again), so each ends in a mark with its length and checksum: what a power failure cut
off, or a disk lost bits of, is not found, and made again. What was not used for long is removed.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO

from sampan.base import fs
from sampan.base.checksum import crc32_of_file
from sampan.base.clock import Clock, SystemClock
from sampan.image.output import explained

KEPT_S = 30 * 24 * 3600.0
"""What was not used for so long is removed."""
KEPT_BYTES = 8 << 30
"""When there is more, what was not used for longest is removed."""
_IN_USE_S = 3600.0  # what was used since is left to the build that may be reading it
_MARK = b"SAMPAN-STEP\x02"
_LENGTH = 8
_SUM = 4
_FOOTER = len(_MARK) + _LENGTH + _SUM


class Found:
    """A finished file: its first `length` bytes are the content."""

    def __init__(self, stream: BinaryIO, length: int) -> None:
        self.stream = stream
        self.length = length

    def copy_to(self, target: IO[bytes]) -> None:
        """Append the content to `target`, a file of the operating system."""
        target.flush()
        fs.copy_range(self.stream.fileno(), target.fileno(), self.length)

    def read(self) -> bytes:
        """The whole content; for small ones."""
        return os.pread(self.stream.fileno(), self.length, 0)


class Store:
    """The folder of finished work. Several processes may use it at once."""

    def __init__(self, folder: Path, clock: Clock | None = None) -> None:
        self.folder = folder
        self._clock = clock or SystemClock()
        self._grown = False

    def path(self, *facts: str) -> Path:
        """Where the work lies that `facts` determine."""
        name = hashlib.sha256("\0".join(facts).encode()).hexdigest()
        return self.folder / name

    @contextmanager
    def open(self, path: Path) -> Iterator[Found | None]:
        """What lies at `path`; None when it is not there, not complete, or damaged."""
        try:
            stream = path.open("rb")
        except FileNotFoundError:
            yield None
            return
        with stream:
            length = _sound_length(stream)
            if length is None:
                yield None
                return
            now_s = self._clock.wall_s()
            with suppress(OSError):  # a cache that only others may write is used as it is
                os.utime(path, (now_s, now_s))
            yield Found(stream, length)

    def has(self, path: Path) -> bool:
        """Whether complete work lies at `path`."""
        with self.open(path) as found:
            return found is not None

    def make(self, path: Path, write: Callable[[IO[bytes]], None]) -> None:
        """Let `write` make the content of `path`.

        Raises:
            SampanError: the disk is full, or the folder cannot be written.
        """
        with explained(self.folder):
            path.parent.mkdir(parents=True, exist_ok=True)
            with fs.atomic_file(path, durable=False) as stream:
                write(stream)
                stream.flush()
                length = stream.tell()
                checksum = crc32_of_file(stream.fileno(), length)
                stream.write(
                    _MARK + length.to_bytes(_LENGTH, "little") + checksum.to_bytes(_SUM, "little")
                )
        self._grown = True

    def trim(self, *, kept_s: float = KEPT_S, kept_bytes: int = KEPT_BYTES) -> int:
        """Remove what was not used for long, or is too much, if anything was made since.

        What was used in the last hour stays in any case. Returns the bytes freed.
        """
        if not self._grown:
            return 0
        self._grown = False
        now_s = self._clock.wall_s()
        total = freed = 0
        for age_s, size, path in sorted(self._ages(now_s)):
            total += size
            if age_s > _IN_USE_S and (age_s > kept_s or total > kept_bytes):
                path.unlink(missing_ok=True)
                freed += size
        return freed

    def _ages(self, now_s: float) -> Iterator[tuple[float, int, Path]]:
        """Every file with the seconds since it was used, and its size."""
        for path in self.folder.glob("*"):
            with suppress(FileNotFoundError):
                status = path.lstat()
                if stat.S_ISREG(status.st_mode):
                    yield now_s - status.st_mtime, status.st_size, path


def _sound_length(stream: BinaryIO) -> int | None:
    """The length of the content, if it is complete and as it was written."""
    size = os.fstat(stream.fileno()).st_size
    footer = os.pread(stream.fileno(), _FOOTER, max(0, size - _FOOTER))
    if not footer.startswith(_MARK) or len(footer) != _FOOTER:
        return None
    numbers = footer[len(_MARK) :]
    length = int.from_bytes(numbers[:_LENGTH], "little")
    if length != size - _FOOTER:
        return None
    sound = crc32_of_file(stream.fileno(), length) == int.from_bytes(numbers[_LENGTH:], "little")
    return length if sound else None
