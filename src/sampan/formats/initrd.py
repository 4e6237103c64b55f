"""An initrd as the kernel sees it: archives one after another, compressed or not.

Answers what is in it and how large it is unpacked, from the file alone: for zstd that stands
in the headers of the frames, so nothing is decompressed.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from sampan.errors import SampanError
from sampan.formats import cpio
from sampan.formats.codec import Compression

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 1 << 18
_ZSTD_HEADER_MAX = 18


class Piece(msgspec.Struct, frozen=True):
    """A part of the file that is compressed alone. Offset, length and unpacked size in bytes."""

    compression: Compression
    offset: int
    length: int
    size: int


def unpacked_size(path: Path) -> int:
    """How many bytes of archive the kernel makes of the initrd in `path`.

    About what its files take in memory; the compressed initrd is in memory beside it until it
    is unpacked.

    Raises:
        SampanError: it is not an initrd, or damaged.
    """
    return sum(piece.size for piece in pieces(path))


def pieces(path: Path) -> Iterator[Piece]:
    """The pieces of the initrd in `path`, in their order.

    Raises:
        SampanError: as for `unpacked_size`.
    """
    with path.open("rb") as stream:
        end = os.fstat(stream.fileno()).st_size
        at = 0
        while (found := _skip_zeros(stream, at)) is not None:
            piece = _piece(stream, found, end, path)
            yield piece
            at = piece.offset + piece.length


def _piece(stream: BinaryIO, at: int, end: int, path: Path) -> Piece:
    magic = os.pread(stream.fileno(), 6, at)
    if magic.startswith(_ZSTD_MAGIC):
        return _zstd_piece(stream, at, end, path)
    if magic.startswith(_GZIP_MAGIC):
        return _gzip_piece(stream, at, path)
    if magic == cpio.MAGIC:
        length = _plain_length(stream, at, end, path)
        return Piece(Compression.NONE, at, length, length)
    raise SampanError(f"{path} is not an initrd that can be read (byte {at})")


def _zstd_piece(stream: BinaryIO, at: int, end: int, path: Path) -> Piece:
    """Walk over the blocks of a frame by their headers (RFC 8878, 3.1.1)."""
    # zeros stand in for what is missing; the end is checked below
    head = os.pread(stream.fileno(), _ZSTD_HEADER_MAX, at).ljust(_ZSTD_HEADER_MAX, b"\0")
    descriptor = head[4]
    single = descriptor >> 5 & 1
    dictionary = (0, 1, 2, 4)[descriptor & 3]
    width = (single, 2, 4, 8)[descriptor >> 6]
    start = 5 + (not single) + dictionary
    size = int.from_bytes(head[start : start + width], "little") + (256 if width == 2 else 0)
    if not width:
        raise SampanError(f"{path} does not say how large it is unpacked")
    position = at + start + width
    last = False
    while not last:
        block = int.from_bytes(os.pread(stream.fileno(), 3, position), "little")
        last = bool(block & 1)
        position += 3 + (1 if block >> 1 & 3 == 1 else block >> 3)
        if position > end:
            raise SampanError(f"{path} ends early")
    position += 4 * (descriptor >> 2 & 1)
    return Piece(Compression.ZSTD, at, position - at, size)


def _gzip_piece(stream: BinaryIO, at: int, path: Path) -> Piece:
    """Decompress a member, for nothing else tells where it ends."""
    one = zlib.decompressobj(31)
    size = 0
    stream.seek(at)
    try:
        while not one.eof:
            data = one.unconsumed_tail or stream.read(_CHUNK)
            if not data:
                raise SampanError(f"{path} ends early")
            size += len(one.decompress(data, _CHUNK))
    except zlib.error as error:
        raise SampanError(f"{path} is damaged: {error}") from error
    length = stream.tell() - at - len(one.unused_data) - len(one.unconsumed_tail)
    return Piece(Compression.GZIP, at, length, size)


def _plain_length(stream: BinaryIO, at: int, end: int, path: Path) -> int:
    """The length of the uncompressed archive at `at`, up to what is no header."""
    position = at
    while (head := os.pread(stream.fileno(), cpio.HEADER_SIZE, position))[:6] == cpio.MAGIC:
        try:
            numbers = cpio.read_numbers(head)
        except cpio.CpioError as error:
            raise SampanError(f"{path} is damaged: {error.message}") from error
        size, name = numbers[6], numbers[11]
        position += cpio.HEADER_SIZE + name + -(cpio.HEADER_SIZE + name) % 4
        position += size + -size % 4
        if position > end:
            raise SampanError(f"{path} ends early")
    return position - at


def _skip_zeros(stream: BinaryIO, at: int) -> int | None:
    """The next byte that is not zero; None at the end."""
    while data := os.pread(stream.fileno(), _CHUNK, at):
        rest = data.lstrip(b"\0")
        if rest:
            return at + len(data) - len(rest)
        at += len(data)
    return None
