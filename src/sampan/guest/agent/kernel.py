"""The system calls that Python's `os` does not have, through the C library."""

from __future__ import annotations

import ctypes
import os

from sampan.guest.agent.mount import Call

_SET_CHILD_SUBREAPER = 36
_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def mount(call: Call) -> None:
    """Make one mount.

    Raises:
        OSError: the kernel refused; the file names are the source and the target.
    """
    source, target, kind, data = (
        os.fsencode(text) or None for text in (call.source, call.target, call.type, call.data)
    )
    if _libc.mount(source or b"none", target, kind, ctypes.c_ulong(call.flags), data) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), call.source, None, call.target)


def unmount(path: str) -> bool:
    """Take the mount at `path` away, at once for new users and later for those inside.

    Returns False when there is none.
    """
    return bool(_libc.umount2(os.fsencode(path), _DETACH) == 0)


def become_subreaper() -> None:
    """Make orphaned descendants our children, so that their exit status reaches us."""
    _libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
