"""Compressed streams: told apart by their first bytes, read and written piece by piece.

Memory is bounded whatever the bytes are: a piece of output is at most a mebibyte and window
sizes are limited. How much may come out in all is decided by the callers. gzip goes through
isal where it is installed (ten times the speed), else through the standard library.
"""

from __future__ import annotations

import bz2
import io
import lzma
import sys
import zlib
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import IO, TYPE_CHECKING, Any, Protocol, Self

from sampan.errors import SampanError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PIECE = 1 << 20  # bytes of output at a time
_MAGIC = 6  # bytes by which the kinds can be told apart
_INPUT = 1 << 18  # bytes of input at a time
_XZ_MEMORY = 128 << 20
_GZIP_WRAPPER = 31  # zlib's number for "a gzip header, 32 KiB window"


class Compression(StrEnum):
    """How a stream is compressed. bzip2 and xz are only read."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"
    BZIP2 = "bzip2"
    XZ = "xz"


class DamagedStreamError(SampanError):
    """A compressed stream is damaged or ends too early."""

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="fetch it again")


class _Decompressor(Protocol):
    """The interface that the decompressors of the standard library agree on."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /, max_length: int = -1) -> bytes: ...


class _Compressor(Protocol):
    def compress(self, data: bytes | memoryview, /) -> bytes: ...
    def flush(self) -> bytes: ...


def detect(start: bytes) -> Compression:
    """What a stream with these first bytes (six are enough) is compressed with."""
    for magic, compression in (
        (b"\x1f\x8b", Compression.GZIP),
        (b"\x28\xb5\x2f\xfd", Compression.ZSTD),
        (b"BZh", Compression.BZIP2),
        (b"\xfd7zXZ\x00", Compression.XZ),
    ):
        if start.startswith(magic):
            return compression
    # frames that zstd programs put before the first real one
    if len(start) >= 4 and start[1:4] == b"\x2a\x4d\x18" and start[0] & 0xF0 == 0x50:
        return Compression.ZSTD
    return Compression.NONE


def open_decompressed(stream: IO[bytes], *, what: str = "stream") -> io.BufferedReader:
    """The plain content of `stream`, whatever it is compressed with; `what` names it in errors.

    Reading raises DamagedStreamError where the compressed stream is damaged or cut off.
    """
    return io.BufferedReader(PieceReader(decompress(stream, what=what)), PIECE)


def decompress(stream: IO[bytes], *, what: str = "stream") -> Iterator[bytes]:
    """The plain content of `stream` in pieces of at most `PIECE` bytes.

    Raises:
        DamagedStreamError: the stream is damaged or cut off.
    """
    start = stream.read(_INPUT)
    compression = detect(start)
    if compression is not Compression.NONE:
        yield from _members(stream, start, compression, what)
        return
    yield start
    while piece := stream.read(PIECE):
        yield piece


def _members(
    stream: IO[bytes], data: bytes, compression: Compression, what: str
) -> Iterator[bytes]:
    """A compressed stream is one member or several on end, perhaps with zeros behind."""
    make = _decompressors()[compression]
    first = True
    while data := data or stream.read(_INPUT):
        while len(data) < _MAGIC and (more := stream.read(_INPUT)):
            data += more
        # what is cut off within its first bytes is no garbage
        if not first and detect(data.ljust(_MAGIC)) is not compression and len(data) >= _MAGIC:
            raise DamagedStreamError(f"{what}: something else follows the {compression} stream")
        first = False
        decompressor = make()
        yield from _member(stream, data, decompressor, f"{what}: the {compression} stream")
        data = decompressor.unused_data
        if not data.strip(b"\x00"):
            data = _after_zeros(stream)


def _member(
    stream: IO[bytes], data: bytes, decompressor: _Decompressor, what: str
) -> Iterator[bytes]:
    damages = _damages()
    while True:
        try:
            piece = decompressor.decompress(data, PIECE)
        except damages as error:
            raise DamagedStreamError(f"{what} is damaged ({error})") from error
        if piece:
            yield piece
        if decompressor.eof:
            return
        data = b""
        if decompressor.needs_input and not (data := stream.read(_INPUT)):
            raise DamagedStreamError(f"{what} ends too early")


def _after_zeros(stream: IO[bytes]) -> bytes:
    while data := stream.read(_INPUT):
        if data.strip(b"\x00"):
            return data.lstrip(b"\x00")
    return b""


class PieceReader(io.RawIOBase):
    """Pieces of bytes as an unbuffered file, for readers that want one."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    def readable(self) -> bool:
        """Always: see `io.RawIOBase`."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """See `io.RawIOBase.readinto`."""
        """Put bytes of one piece into `buffer` and return how many; 0 at the end."""
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(self._left))
        target[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


class CompressedWriter:
    """Compresses what is written into `stream`, which stays open; `close` ends the stream.

    The same bytes, level and library give the same output: no times or names are recorded.
    `level` None means the one that is quick and still good. Raises ValueError for a compression
    that is only read.
    """

    def __init__(
        self, stream: IO[bytes], compression: Compression, *, level: int | None = None
    ) -> None:
        self._stream = stream
        self._compressor = _compressor(compression, level)

    def write(self, data: bytes | memoryview) -> int:
        """Compress `data`; returns its length."""
        self._stream.write(self._compressor.compress(data))
        return len(data)

    def close(self) -> None:
        """Write what is left."""
        self._stream.write(self._compressor.flush())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.close()


class _Stored:
    """The compressor that leaves everything as it is."""

    def compress(self, data: bytes | memoryview, /) -> bytes:
        return bytes(data)

    def flush(self) -> bytes:
        return b""


class _Zlib:
    """zlib's gzip with the interface that bz2, lzma, zstd and isal share."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(_GZIP_WRAPPER)
        self._full = False

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        # a full piece may have more behind it even when all input is taken
        return not self._inner.unconsumed_tail and not self._full

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, /, max_length: int = -1) -> bytes:
        piece = self._inner.decompress(self._inner.unconsumed_tail + data, max(0, max_length))
        self._full = len(piece) == max_length
        return piece


def _gzip_decompressor() -> Callable[[], _Decompressor]:
    try:
        from isal import igzip_lib
    except ImportError:
        return _Zlib
    return lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)


def _zstd() -> Any:  # noqa: ANN401  one of two modules, of which a checker knows at most one
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ImportError as error:
        raise SampanError(
            "zstd is not supported by this installation", hint="pip install 'sampan[build]'"
        ) from error
    return zstd


def _decompressors() -> dict[Compression, Callable[[], _Decompressor]]:
    return {
        Compression.GZIP: _gzip_decompressor(),
        Compression.ZSTD: lambda: _zstd().ZstdDecompressor(),
        Compression.BZIP2: bz2.BZ2Decompressor,
        Compression.XZ: lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY),
    }


def _damages() -> tuple[type[Exception], ...]:
    """What the decompressors raise for bytes that are wrong."""
    found: list[type[Exception]] = [zlib.error, lzma.LZMAError, OSError, ValueError]
    for name, error in (
        ("isal.igzip_lib", "error"),
        ("backports.zstd", "ZstdError"),
        ("compression.zstd", "ZstdError"),
    ):
        if module := sys.modules.get(name):
            found.append(getattr(module, error))
    return tuple(found)


def _compressor(compression: Compression, level: int | None) -> _Compressor:
    match compression:
        case Compression.NONE:
            return _Stored()
        case Compression.GZIP:
            return _gzip_compressor(level)
        case Compression.ZSTD:
            made: _Compressor = _zstd().ZstdCompressor(level=3 if level is None else level)
            return made
        case _:
            raise ValueError(f"{compression} is only read")


def _gzip_compressor(level: int | None) -> _Compressor:
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib.compressobj(6 if level is None else level, wbits=_GZIP_WRAPPER)
    made: _Compressor = isal_zlib.compressobj(
        2 if level is None else min(level, 3), wbits=_GZIP_WRAPPER
    )
    return made
