"""INIT: what the kernel can do, and what of it is used.

Not asked for: POSIX ACLs and locks of the host (each guest has its own), a cache that writes
back (host and guest share the files), and mapping files into the guest (DAX).
"""

from __future__ import annotations

import errno

from sampan.vhost.core.fuse.request import Request
from sampan.vhost.core.fuse.wire import (
    INIT_IN,
    INIT_OUT,
    LEAST_MINOR,
    MAJOR,
    MAX_DATA,
    MAX_PAGES,
    MINOR,
    Feature,
)

WANTED = (
    Feature.ASYNC_READ | Feature.ATOMIC_O_TRUNC | Feature.BIG_WRITES | Feature.AUTO_INVAL_DATA
    | Feature.DO_READDIRPLUS | Feature.READDIRPLUS_AUTO | Feature.ASYNC_DIO
    | Feature.PARALLEL_DIROPS | Feature.MAX_PAGES | Feature.HANDLE_KILLPRIV_V2
)  # fmt: skip
_BACKGROUND, _CONGESTED = 64, 48  # requests that nobody waits for; virtiofs has limits of its own


def answer(request: Request) -> bytes:
    """The answer to INIT.

    Raises:
        OSError: EPROTO, the kernel is too old.
    """
    major, minor, readahead, offered = request.read(INIT_IN)
    if major > MAJOR:  # it will ask again, with ours
        return INIT_OUT.pack(MAJOR, MINOR, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    if (major, minor) < (MAJOR, LEAST_MINOR):
        raise OSError(errno.EPROTO, f"FUSE {major}.{minor}")
    flags = offered & WANTED
    return INIT_OUT.pack(
        MAJOR, MINOR, readahead, flags, _BACKGROUND, _CONGESTED, MAX_DATA, 1, MAX_PAGES, 0, 0
    )
