"""A fast checksum of files that we made ourselves: it finds bits that a disk lost, no forgery.

CRC-32 (that of zip and PNG), through isal where it is installed: 25 GB/s, where SHA-256 has 2.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from functools import cache

_CHUNK = 1 << 18  # stays in the processor's cache


def crc32(data: bytes | memoryview, before: int = 0) -> int:
    """The CRC-32 of `data` behind bytes whose CRC-32 is `before`."""
    return _function()(data, before)


def crc32_of_file(descriptor: int, length: int) -> int:
    """The CRC-32 of the first `length` bytes of an open file, wherever its position is.

    Raises:
        EOFError: the file is shorter.
    """
    buffer = memoryview(bytearray(_CHUNK))
    value = position = 0
    while position < length:
        count = os.preadv(descriptor, [buffer[: length - position]], position)
        if count == 0:
            raise EOFError(f"{length - position} bytes short")
        value = crc32(buffer[:count], value)
        position += count
    return value


@cache
def _function() -> Callable[[bytes | memoryview, int], int]:
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib.crc32
    found: Callable[[bytes | memoryview, int], int] = isal_zlib.crc32
    return found
