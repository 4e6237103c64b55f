"""Answers: attributes, entries, folders, and where in a chain's buffers they go."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from sampan.vhost.core.error import RemoteProtocolError
from sampan.vhost.core.fuse.wire import (
    ATTRIBUTES,
    ATTRIBUTES_OUT,
    DIRENT,
    ENTRY_OUT,
    OPEN_OUT,
    OUT_HEADER,
    STATFS_OUT,
)  # fmt: skip

_NS = 1_000_000_000
_ENTRY_BYTES = ENTRY_OUT.size + ATTRIBUTES.size
_NOTHING = bytes(_ENTRY_BYTES)
_BLOCK = 4096
_MODE = 9  # among the attributes
_U32 = 0xFFFFFFFF


class Owner(NamedTuple):
    """What a guest is shown of a file that may not be so on the host. `mode` has the type."""

    mode: int
    uid: int
    gid: int
    device: int = 0


class Patience(NamedTuple):
    """For how long a kernel may believe an answer."""

    seconds: int
    ns: int

    @classmethod
    def of(cls, seconds: float) -> Patience:
        """So many seconds."""
        return cls(*divmod(round(seconds * _NS), _NS))


AT_ONCE = Patience(0, 0)


def attributes(status: os.stat_result, owner: Owner, number: int) -> bytes:
    """A file's attributes; `number` is its inode's."""
    atime, mtime, ctime = status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns
    return ATTRIBUTES.pack(
        number, status.st_size, status.st_blocks,
        atime // _NS & _ALL, mtime // _NS & _ALL, ctime // _NS & _ALL,
        atime % _NS, mtime % _NS, ctime % _NS,
        owner.mode, min(status.st_nlink, _U32), owner.uid, owner.gid, owner.device,
        status.st_blksize, 0,
    )  # fmt: skip


_ALL = (1 << 64) - 1  # times before 1970 are negative


def made_up(mode: int, number: int) -> bytes:
    """The attributes of something that is not there."""
    return ATTRIBUTES.pack(number, 0, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, _BLOCK, 0)


def attributes_out(found: bytes, patience: Patience) -> bytes:
    """The answer to GETATTR and SETATTR."""
    return ATTRIBUTES_OUT.pack(patience.seconds, patience.ns, 0) + found


def entry_out(node: int, found: bytes, patience: Patience) -> bytes:
    """The answer to LOOKUP and to all that make a file."""
    seconds, ns = patience
    return ENTRY_OUT.pack(node, 0, seconds, seconds, ns, ns) + found


def mode(entry: bytes) -> int:
    """The mode that an answer to LOOKUP tells."""
    number: int = ATTRIBUTES.unpack_from(entry, ENTRY_OUT.size)[_MODE]
    return number


def open_out(handle: int, flags: int = 0) -> bytes:
    """The answer to OPEN and OPENDIR."""
    return OPEN_OUT.pack(handle, flags, 0)


def statfs_out(status: os.statvfs_result) -> bytes:
    """The answer to STATFS."""
    return STATFS_OUT.pack(
        status.f_blocks, status.f_bfree, status.f_bavail, status.f_files, status.f_ffree,
        status.f_bsize, status.f_namemax, status.f_frsize, 0,
    )  # fmt: skip


def entry_size(name: bytes, *, plus: bool) -> int:
    """How many bytes a folder's entry takes; with `plus`, that of READDIRPLUS."""
    return (_ENTRY_BYTES if plus else 0) + (DIRENT.size + len(name) + 7 & ~7)


def folder_entry(
    name: bytes, number: int, following: int, kind: int, entry: bytes | None = _NOTHING
) -> bytes:
    """A folder's entry. `following` is where the next one begins, `kind` the type (DT_REG …).

    `entry` is what LOOKUP would answer, for READDIRPLUS; None for READDIR.
    """
    padded = (DIRENT.size + len(name) + 7 & ~7) - DIRENT.size
    found = DIRENT.pack(number, following, len(name), kind) + name.ljust(padded, b"\0")
    return found if entry is None else entry + found


def success(unique: int, body: bytes) -> bytes:
    """An answer, whole."""
    return OUT_HEADER.pack(OUT_HEADER.size + len(body), 0, unique) + body


def failure(unique: int, number: int) -> bytes:
    """An answer that is an errno."""
    return OUT_HEADER.pack(OUT_HEADER.size, -number, unique)


def scatter(room: Sequence[memoryview], data: bytes) -> int:
    """Write an answer into the buffers for it; how many bytes it has.

    Raises:
        RemoteProtocolError: there is no room for it.
    """
    at, size = 0, len(data)
    for view in room:
        part = data[at : at + len(view)]
        view[: len(part)] = part
        at += len(part)
        if at == size:
            return size
    raise RemoteProtocolError(f"room for {at} bytes of an answer of {size}")
