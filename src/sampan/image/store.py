"""Finished work on disk: `<cache>/steps`, by the hash of all that determines it.

A file appears under its name only when it is complete. It is not forced onto the disk (it can
be made again), so each ends in a mark that a file cut off by a power failure lacks.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from sampan.base import fs
from sampan.image.output import explained

_MARK = b"SAMPAN-STEP\0"
_LENGTH = 8
_FOOTER = len(_MARK) + _LENGTH


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

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, *facts: str) -> Path:
        """Where the work lies that `facts` determine."""
        name = hashlib.sha256("\0".join(facts).encode()).hexdigest()
        return self.folder / name

    @contextmanager
    def open(self, path: Path) -> Iterator[Found | None]:
        """What lies at `path`; None when it is not there, or not complete."""
        try:
            stream = path.open("rb")
        except FileNotFoundError:
            yield None
            return
        with stream:
            length = _length(stream)
            yield None if length is None else Found(stream, length)

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
                stream.write(_MARK + stream.tell().to_bytes(_LENGTH, "little"))

    def clean(self) -> int:
        """Remove all finished work, and what killed processes left. Returns the bytes freed.

        A build that is under way loses what it has finished, and says so.
        """
        freed = 0
        for path in self.folder.glob("*"):
            freed += path.stat().st_size
            path.unlink(missing_ok=True)
        return freed


def _length(stream: BinaryIO) -> int | None:
    size = os.fstat(stream.fileno()).st_size
    footer = os.pread(stream.fileno(), _FOOTER, max(0, size - _FOOTER))
    if not footer.startswith(_MARK) or len(footer) != _FOOTER:
        return None
    length = int.from_bytes(footer[len(_MARK) :], "little")
    return length if length == size - _FOOTER else None
