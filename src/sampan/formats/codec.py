"""Compression of initrd pieces: one piece, one frame, the same bytes on every computer.

The kernel unpacks exactly one frame per piece and wants a window of at most 128 MiB. zstd
works on jobs of a fixed size, so its output does not depend on the number of threads; the
size of the content is written into the frame's header, so that what an initrd needs in memory
can be read off the file. Knows nothing of cpio.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Protocol

from sampan.errors import SampanError


class Compression(StrEnum):
    """How pieces are compressed."""

    ZSTD = "zstd"
    GZIP = "gzip"
    NONE = "none"


class Compressor(Protocol):
    """Takes bytes, gives compressed bytes when there are some."""

    def feed(self, data: bytes | bytearray) -> bytes:
        """Take `data`; the compressed bytes that are ready."""

    def finish(self) -> bytes:
        """End the frame; its last bytes. The compressor is not used afterwards."""


_JOB_SIZE = 4 << 20
_THREADS = 2
_ZSTD_LEVEL = 3  # of 330 MB of libraries 98 MB in 1.0 s of CPU; level 1: 112 MB in 0.65 s
_GZIP_LEVEL = 1
_GZIP_BLOCK = 1 << 18
_GZIP_WRAPPER = 31  # zlib's number for "a gzip header, 32 KiB window"


class _Zstd:
    def __init__(self, size: int) -> None:
        zstd = _zstd()
        option = zstd.CompressionParameter
        self._zstd = zstd.ZstdCompressor(
            options={
                option.compression_level: _ZSTD_LEVEL,
                option.content_size_flag: 1,
                option.checksum_flag: 0,  # the kernel does not look at it
                option.nb_workers: _THREADS,
                option.job_size: _JOB_SIZE,
            }
        )
        self._zstd.set_pledged_input_size(size)

    def feed(self, data: bytes | bytearray) -> bytes:
        """See `Compressor.feed`."""
        return bytes(self._zstd.compress(data))

    def finish(self) -> bytes:
        """See `Compressor.finish`."""
        return bytes(self._zstd.flush())


class _Gzip:
    def __init__(self, size: int) -> None:
        # isal writes the same bytes everywhere; zlib's depend on the system's version, so it is
        # only the fallback
        isal = _isal()
        library = isal.isal_zlib if isal else zlib
        self._gzip = library.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WRAPPER)
        self._waiting = bytearray()

    def feed(self, data: bytes | bytearray) -> bytes:
        """See `Compressor.feed`."""
        # isal's output depends on how its input is cut, so it gets blocks of one size
        self._waiting += data
        whole = len(self._waiting) // _GZIP_BLOCK * _GZIP_BLOCK
        blocks = [
            self._gzip.compress(memoryview(self._waiting)[at : at + _GZIP_BLOCK])
            for at in range(0, whole, _GZIP_BLOCK)
        ]
        del self._waiting[:whole]
        return b"".join(blocks)

    def finish(self) -> bytes:
        """See `Compressor.finish`."""
        return bytes(self._gzip.compress(self._waiting)) + bytes(self._gzip.flush())


class _None:
    def __init__(self, size: int) -> None:
        del size

    def feed(self, data: bytes | bytearray) -> bytes:
        """See `Compressor.feed`."""
        return bytes(data)

    def finish(self) -> bytes:
        """See `Compressor.finish`."""
        return b""


_COMPRESSORS: dict[Compression, Callable[[int], Compressor]] = {
    Compression.ZSTD: _Zstd,
    Compression.GZIP: _Gzip,
    Compression.NONE: _None,
}


def _zstd() -> Any:  # noqa: ANN401  one of two modules, of which a checker knows at most one
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ImportError:
        raise SampanError(
            "zstd is not supported by this installation",
            hint="pip install 'sampan[build]', or choose another compression",
        ) from None
    return zstd


def _isal() -> Any | None:  # noqa: ANN401  an optional module
    try:
        import isal
        import isal.isal_zlib
    except ImportError:
        return None
    return isal


def compressor(compression: Compression, size: int) -> Compressor:
    """A compressor for exactly `size` bytes.

    Raises:
        SampanError: the library for it is not installed.
    """
    return _COMPRESSORS[compression](size)


def identity(compression: Compression) -> str:
    """All that determines the compressed bytes beside the content: method, library, settings."""
    if compression == Compression.ZSTD:
        return f"zstd {_zstd().zstd_version} -{_ZSTD_LEVEL} job {_JOB_SIZE}"
    if compression == Compression.GZIP:
        isal = _isal()
        name = f"isal {isal.__version__}" if isal else f"zlib {zlib.ZLIB_RUNTIME_VERSION}"
        return f"{name} -{_GZIP_LEVEL}"
    return "none"
