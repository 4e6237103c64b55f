"""System calls that Python's `os` does not have, from the C library."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Any

UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
NOREPLACE, EXCHANGE = 1, 2
_HERE = -100  # AT_FDCWD
_library = ctypes.CDLL(None, use_errno=True)


_Times = ctypes.c_long * 4  # of access and of modification: seconds and nanoseconds


def _function(name: str, *arguments: Any) -> Any:  # noqa: ANN401  what ctypes has
    function = getattr(_library, name, None)
    if function is None:  # an old C library

        def missing(*_: object) -> int:
            raise OSError(errno.ENOSYS, f"no {name} here")

        return missing
    function.argtypes = arguments
    function.restype = ctypes.c_long if name == "getdents64" else ctypes.c_int
    return function


_renameat2 = _function(
    "renameat2", ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint
)
_utimensat = _function("utimensat", ctypes.c_int, ctypes.c_char_p, _Times, ctypes.c_int)
_fallocate = _function(
    "fallocate", ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64
)  # fmt: skip
_getdents = _function("getdents64", ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)
_syncfs = _function("syncfs", ctypes.c_int)
_unshare = _function("unshare", ctypes.c_int)
_prctl = _function("prctl", ctypes.c_int, *[ctypes.c_ulong] * 4)
_mount = _function("mount", *[ctypes.c_char_p] * 3, ctypes.c_ulong, ctypes.c_char_p)
_unmount = _function("umount2", ctypes.c_char_p, ctypes.c_int)
_pivot_root_number = {"x86_64": 155}.get(os.uname().machine, 41)  # the C library has no function
_syscall = _function("syscall", ctypes.c_long, ctypes.c_char_p, ctypes.c_char_p)
_capset = _function("capset", ctypes.c_void_p, ctypes.c_void_p)
_CAPABILITIES_3 = 0x20080522
_SLAVE, _RECURSIVE, _BIND = 1 << 19, 1 << 14, 1 << 12
_DETACH = 2


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def rename(old_folder: int, old: bytes, new_folder: int, new: bytes, flags: int) -> None:
    """Rename between two folders' descriptors; `flags` of NOREPLACE and EXCHANGE."""
    _checked(_renameat2(old_folder, old, new_folder, new, flags))


def set_times(path: str, access: tuple[int, int], change: tuple[int, int]) -> None:
    """Set times of access and of modification: seconds, and ns or UTIME_NOW or UTIME_OMIT."""
    _checked(_utimensat(_HERE, path.encode(), _Times(*access, *change), 0))


def allocate(fd: int, mode: int, offset: int, length: int) -> None:
    """Linux' fallocate(2)."""
    _checked(_fallocate(fd, mode, offset, length))


def read_folder(fd: int, buffer: ctypes.Array[ctypes.c_char]) -> int:
    """The next entries of a folder, as getdents64(2) has them: how many bytes."""
    return _checked(_getdents(fd, buffer, len(buffer)))


def sync_filesystem(fd: int) -> None:
    """Write all that the file system of `fd` has not written yet."""
    _checked(_syncfs(fd))


def unshare(flags: int) -> None:
    """Have namespaces of one's own."""
    _checked(_unshare(flags))


def set_process(option: int, value: int) -> None:
    """Linux' prctl(2), of one argument."""
    _checked(_prctl(option, value, 0, 0, 0))


def keep_capabilities(mask: int) -> None:
    """Give up all capabilities but those of `mask`, which this process must have, if it has any."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_3, 0)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    # twice (for 32 each): effective, permitted, inheritable
    _checked(_capset(header, (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)))


def make_root(folder: str) -> None:
    """Make a folder the root of this process's own mount namespace; nothing else is left of it.

    The current folder changes, even if this fails.
    """
    path = folder.encode()
    _checked(_mount(None, b"/", None, _SLAVE | _RECURSIVE, None))
    _checked(_mount(path, path, None, _BIND | _RECURSIVE, None))
    os.chdir(folder)  # what was mounted, not what is below it
    _checked(_syscall(_pivot_root_number, b".", b"."))
    _checked(_unmount(b".", _DETACH))
