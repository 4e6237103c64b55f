"""How much an initrd unpacks to, found by reading it through as the kernel would.

An initrd is a chain of cpio archives ("newc"), each plain or compressed by itself, with any
number of zeros between them (Linux, Documentation/driver-api/early-userspace/buffer-format).
Nothing is kept: a file is read through in steps of a mebibyte.
"""

from __future__ import annotations

import importlib
import lzma
import mmap
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Protocol, cast

import msgspec

PAGE = 4096
_MOST_UNPACKED = 8 << 30  # more than that is no system, but a decompression bomb
_STEP = 1 << 20

_MAGIC_BYTES = 6
_CPIO_MAGICS = (b"070701", b"070702")
_CPIO_HEADER = 110  # the magic and 13 fields of 8 hexadecimal digits
_FILE_SIZE, _NAME_SIZE = slice(54, 62), slice(94, 102)
_TRAILER = b"TRAILER!!!\0"


class Unpacked(msgspec.Struct, frozen=True):
    """The pages and inodes of a tmpfs that an initrd fills."""

    pages: int
    inodes: int


class NotUnderstoodError(Exception):
    """The initrd is damaged, or compressed in a way that cannot be undone here."""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    @property
    def needs_input(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def measure(path: Path) -> Unpacked:
    """Read the initrd at `path` through.

    Raises:
        NotUnderstoodError: it is damaged, lz4, or zstd and the library for it is missing.
    """
    if path.stat().st_size == 0:
        return Unpacked(0, 0)
    count = _Count()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            for chunk in _members(data):
                count.feed(chunk)
        except (zlib.error, lzma.LZMAError, ValueError, EOFError) as error:
            raise NotUnderstoodError(str(error)) from error
    return Unpacked(count.pages, count.inodes)


class _Count:
    """Adds up the files of a cpio stream that comes in pieces."""

    def __init__(self) -> None:
        self.pages = 0
        self.inodes = 0
        self._pending = bytearray()
        self._skip = 0
        self._total = 0

    def feed(self, chunk: bytes) -> None:
        """Take the next piece."""
        self._total += len(chunk)
        if self._total > _MOST_UNPACKED:
            raise NotUnderstoodError(f"unpacks to more than {_MOST_UNPACKED} bytes")
        dropped = min(self._skip, len(chunk))
        self._skip -= dropped
        self._pending += memoryview(chunk)[dropped:]
        offset = 0
        while (after := self._file_at(offset)) is not None:
            offset = after
        if offset > len(self._pending):
            self._skip, offset = offset - len(self._pending), len(self._pending)
        del self._pending[:offset]

    def _file_at(self, offset: int) -> int | None:
        """Count the file whose header is at `offset`; gives where to look next."""
        if offset < len(self._pending) and self._pending[offset] == 0:
            return len(self._pending) - len(self._pending[offset:].lstrip(b"\0"))
        header = bytes(self._pending[offset : offset + _CPIO_HEADER])
        if len(header) < _CPIO_HEADER:
            return None
        if not header.startswith(_CPIO_MAGICS):
            raise NotUnderstoodError("not a cpio archive")
        size = int(header[_FILE_SIZE], 16)
        self.pages += -(-size // PAGE)
        self.inodes += 1
        return offset + _word(_CPIO_HEADER + int(header[_NAME_SIZE], 16)) + _word(size)


def _word(size: int) -> int:
    """`size` up to the next multiple of four: how names and contents are padded."""
    return (size + 3) & ~3


def _members(data: mmap.mmap) -> Iterator[bytes]:
    """The archives of an initrd, each decompressed, in pieces."""
    position = 0
    while position < len(data):
        if data[position] == 0:
            position += 1
            continue
        magic = data[position : position + _MAGIC_BYTES]
        if magic in _CPIO_MAGICS:
            end = _archive_end(data, position)
            for start in range(position, end, _STEP):
                yield data[start : min(end, start + _STEP)]
            position = end
        else:
            position = yield from _decompressed(_decompressor(magic), data, position)


def _archive_end(data: mmap.mmap, position: int) -> int:
    """Where the plain archive at `position` ends."""
    name = b""
    while name != _TRAILER and data[position : position + _MAGIC_BYTES] in _CPIO_MAGICS:
        header = data[position : position + _CPIO_HEADER]
        size, name_size = int(header[_FILE_SIZE], 16), int(header[_NAME_SIZE], 16)
        name_at = position + _CPIO_HEADER
        name = data[name_at : name_at + min(name_size, len(_TRAILER) + 1)]
        position += _word(_CPIO_HEADER + name_size) + _word(size)
    return min(position, len(data))


def _decompressed(
    decompressor: _Decompressor, data: mmap.mmap, position: int
) -> Generator[bytes, None, int]:
    """One member, decompressed in pieces. The generator's value is the position after it."""
    while not decompressor.eof:
        piece = b""
        if decompressor.needs_input:
            piece = data[position : position + _STEP]
            if not piece:
                raise EOFError("ends in the middle")
            position += len(piece)
        yield decompressor.decompress(piece, _STEP)
    return position - len(decompressor.unused_data)


class _Gzip:
    """zlib's decompressor in the manner of those of lzma and zstd."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def _decompressor(magic: bytes) -> _Decompressor:
    if magic.startswith(b"\x1f\x8b"):
        return _Gzip()
    if magic.startswith(b"\xfd7zXZ\x00"):
        return cast("_Decompressor", lzma.LZMADecompressor())
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        for name in ("compression.zstd", "backports.zstd"):  # the former from Python 3.14
            try:
                zstd = importlib.import_module(name)
            except ImportError:
                continue
            return cast("_Decompressor", zstd.ZstdDecompressor())
        raise NotUnderstoodError("reading zstd needs the package backports.zstd")
    raise NotUnderstoodError(f"compressed in an unknown way ({magic!r})")
