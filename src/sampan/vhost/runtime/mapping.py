"""A machine's memory, mapped from the descriptors that its front-end sent.

A mapped file that shrinks kills whoever touches it. Memory files (memfd) can be sealed against
that, and are; of other files (huge pages, /dev/shm) the front-end must be trusted that they keep
their size, as it must be by the kernel's own vhost.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Sequence
from contextlib import suppress

from sampan.vhost.core.error import RemoteProtocolError
from sampan.vhost.core.memory import Memory, Region

_ADD_SEALS = getattr(fcntl, "F_ADD_SEALS", 1033)
_SEAL_SHRINK = getattr(fcntl, "F_SEAL_SHRINK", 2)


def map_shared(fd: int, size: int, offset: int) -> memoryview:
    """`size` writable bytes of a file from `offset` on; `fd` may be closed afterwards.

    They stay mapped as long as a view of them is left.

    Raises:
        RemoteProtocolError: the file has no such bytes, or cannot be mapped.
    """
    try:
        with suppress(OSError):  # no memory file, or sealed for good
            fcntl.fcntl(fd, _ADD_SEALS, _SEAL_SHRINK)
        if os.fstat(fd).st_size < offset + size:
            raise RemoteProtocolError(f"no {size} bytes of memory at {offset} of its file")
        # from 0, because huge pages want offsets that are multiples of theirs
        whole = mmap.mmap(fd, offset + size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    except (OSError, ValueError, OverflowError) as error:
        raise RemoteProtocolError(f"the machine's memory cannot be mapped: {error}") from error
    return memoryview(whole)[offset:]


def map_memory(regions: Sequence[Region], fds: Sequence[int]) -> Memory:
    """All regions of a memory table; the descriptors may be closed afterwards.

    Raises:
        RemoteProtocolError: one of them cannot be mapped.
    """
    views = [map_shared(fd, each.size, each.offset) for each, fd in zip(regions, fds, strict=True)]
    return Memory(regions, views)
