"""The kernel's inotify (man 7 inotify), which Python's library does not have; through libc.

One descriptor, watches of single folders, and what happened there in order. What a tree of
folders needs on top of that is `watch`.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple, Self

from sampan.machine.error import MachineError

MODIFY, ATTRIB, CLOSE_WRITE = 0x2, 0x4, 0x8
MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x40, 0x80, 0x100, 0x200
UNMOUNT, OVERFLOW, IGNORED, IS_FOLDER = 0x2000, 0x4000, 0x8000, 0x4000_0000
_ONLY_FOLDERS, _NO_FOLLOW = 0x0100_0000, 0x0200_0000
_WANTED = MODIFY | ATTRIB | CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE
_HEADER = struct.Struct("=iIII")  # watch, mask, cookie, length of the name
_BUFFER_BYTES = 64 << 10


class Notice(NamedTuple):
    """What happened to `name` in the folder of `watch`; `name` is empty for the folder itself."""

    watch: int
    mask: int
    cookie: int  # the same for both names of a rename
    name: bytes


def parse(data: bytes) -> Iterator[Notice]:
    """The notices of one read(2)."""
    at = 0
    while at < len(data):
        watch, mask, cookie, length = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        yield Notice(watch, mask, cookie, data[at : at + length].rstrip(b"\0"))
        at += length


class Inotify:
    """One queue of notices; a context that closes it.

    Raises:
        MachineError: this system has no inotify, or no more of it for this user.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        if not hasattr(self._libc, "inotify_init1"):
            raise MachineError("file events of shares need a host with Linux")
        self._descriptor = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise MachineError(
                f"cannot watch folders: {os.strerror(ctypes.get_errno())}",
                hint="each watched share takes one of fs.inotify.max_user_instances",
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        os.close(self._descriptor)

    def fileno(self) -> int:
        """The descriptor, to wait for."""
        return self._descriptor  # type: ignore[no-any-return]  # ctypes does not say

    def add(self, folder: bytes) -> int:
        """Watch a folder, no link; the number of the watch, the same if it is watched already.

        Raises:
            OSError: it is none, or gone, or there are too many watches (ENOSPC).
        """
        mask = _WANTED | _ONLY_FOLDERS | _NO_FOLLOW
        watch: int = self._libc.inotify_add_watch(self._descriptor, folder, mask)
        if watch < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), os.fsdecode(folder))
        return watch

    def remove(self, watch: int) -> None:
        """Watch no more; of a watch that ended by itself, nothing."""
        self._libc.inotify_rm_watch(self._descriptor, watch)

    def read(self) -> list[Notice]:
        """What has happened since the last time; does not wait."""
        try:
            return list(parse(os.read(self._descriptor, _BUFFER_BYTES)))
        except BlockingIOError:
            return []
