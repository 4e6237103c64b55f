"""The system calls that Python's `os` does not have, or not in all versions, through libc."""

from __future__ import annotations

import ctypes
import os

_NEW_MOUNTS = 0x20000  # CLONE_NEWNS
_OMIT = (1 << 30) - 2  # UTIME_OMIT
_AT_FDCWD = -100
_MS_RDONLY = 1

_libc = ctypes.CDLL(None, use_errno=True)


def _check(status: int, *names: str) -> None:
    if status != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), *names)


def enter_mounts(descriptor: int) -> None:
    """Go to the mount namespace that `descriptor` (of /proc/PID/ns/mnt) stands for.

    Raises:
        OSError: the kernel refused.
    """
    _check(_libc.setns(descriptor, _NEW_MOUNTS))


def mount(source: str, target: str, kind: str, options: str, *, read_only: bool) -> None:
    """Make one mount.

    Raises:
        OSError: the kernel refused.
    """
    flags = ctypes.c_ulong(_MS_RDONLY if read_only else 0)
    words = [os.fsencode(text) for text in (source, target, kind)]
    _check(_libc.mount(*words, flags, os.fsencode(options) or None), target)


def modified(path: str) -> None:
    """Set the time of modification of `path`, a link itself, to what it is.

    Set alone (not with the time of access), it is what watchers (inotify) hear as a modification.

    Raises:
        OSError: there is no such file.
    """
    at_ns = os.lstat(path).st_mtime_ns
    # two timespecs: of access, of modification
    times = (ctypes.c_long * 4)(0, _OMIT, *divmod(at_ns, 10**9))
    no_follow = 0x100
    _check(_libc.utimensat(_AT_FDCWD, os.fsencode(path), times, no_follow), path)
