"""The system calls that Python's `os` does not have, or not in all versions, through libc."""

from __future__ import annotations

import ctypes
import os

_NEW_MOUNTS = 0x20000  # CLONE_NEWNS
_OMIT = (1 << 30) - 2  # UTIME_OMIT
_OPENAT2 = 437  # of every architecture
_BENEATH = 0x01 | 0x04 | 0x08  # RESOLVE_NO_XDEV, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH
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


def open_beneath(folder: int, path: str, flags: int) -> int:
    """Open what is at `path` in the folder of a descriptor; through no link and into no mount.

    Raises:
        OSError: that cannot be, or the kernel refused.
    """
    how = (ctypes.c_uint64 * 3)(flags | os.O_CLOEXEC, 0, _BENEATH)
    number = _libc.syscall(
        ctypes.c_long(_OPENAT2), folder, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how)
    )
    if number < 0:
        _check(number, path)
    return int(number)


def touched(folder: int, name: str, *, is_content: bool) -> None:
    """Set the times of a file, a link itself, to what they are; without a name: of the folder.

    Watchers (inotify) hear that what is in it has changed, or else its attributes.

    Raises:
        OSError: there is no such file.
    """
    found = os.stat(name or ".", dir_fd=folder, follow_symlinks=False)
    accessed = (0, _OMIT) if is_content else divmod(found.st_atime_ns, 10**9)
    times = (ctypes.c_long * 4)(*accessed, *divmod(found.st_mtime_ns, 10**9))
    no_follow = 0x100
    _check(_libc.utimensat(folder, os.fsencode(name or "."), times, no_follow), name)
