"""Files and folders that the guest has open."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from sampan.vhost.runtime.fuse.node import Node


class Handle:
    """An open file or folder. Without a descriptor (-1) it is one that is only pretended.

    `entries` are a folder's that were read and not yet asked for, and `at` is where they begin.
    """

    __slots__ = ("at", "entries", "fd", "is_folder", "node", "writable")

    def __init__(
        self, fd: int, node: Node, *, writable: bool = False, folder: bool = False
    ) -> None:
        self.fd = fd
        self.node = node
        self.writable = writable
        self.is_folder = folder
        self.entries: list[tuple[bytes, int, int, int]] = []  # name, inode, what follows, type
        self.at = 0


class Handles:
    """All that is open. Owns the descriptors; numbers are never used again."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._next = 1
        self._handles: dict[int, Handle] = {}

    def __len__(self) -> int:
        return len(self._handles)

    def __iter__(self) -> Iterator[Handle]:
        return iter(self._handles.values())

    def check(self) -> None:
        """Raises OSError (ENFILE) if nothing more can be opened."""
        if len(self._handles) >= self._limit:
            raise OSError(errno.ENFILE, "too many files are open")

    def add(self, handle: Handle) -> int:
        """The number of a handle, whose descriptor is now ours."""
        number = self._next
        self._next += 1
        self._handles[number] = handle
        return number

    def get(self, number: int) -> Handle:
        """What is open under this number.

        Raises:
            OSError: EBADF, nothing.
        """
        handle = self._handles.get(number)
        if handle is None:
            raise _bad()
        return handle

    def file(self, number: int, *, writable: bool = False) -> Handle:
        """The file that is open under this number.

        Raises:
            OSError: EBADF, there is none, or it cannot be written.
        """
        handle = self.get(number)
        if handle.is_folder or (writable and not handle.writable):
            raise _bad()
        return handle

    def folder(self, number: int) -> Handle:
        """The folder that is open under this number.

        Raises:
            OSError: EBADF, there is none.
        """
        handle = self.get(number)
        if not handle.is_folder:
            raise _bad()
        return handle

    def close(self, number: int) -> Handle | None:
        """The guest has closed it; None: there was no such handle."""
        handle = self._handles.pop(number, None)
        if handle is not None and handle.fd >= 0:
            os.close(handle.fd)
            handle.fd = -1
        return handle

    def clear(self) -> None:
        """Close all."""
        for number in tuple(self._handles):
            self.close(number)


def _bad() -> OSError:
    return OSError(errno.EBADF, "no such handle")
