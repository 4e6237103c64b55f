"""The "newc" cpio format, which the kernel unpacks as its first root filesystem.

Source: Documentation/driver-api/early-userspace/buffer-format.rst of Linux, and init/initramfs.c
for what the kernel makes of it. Three properties of the kernel's reader are used here:

- After a member that is complete and padded the reader is ready for whatever follows, be it
  another header or another compressed stream. So an archive can be cut into pieces that are
  compressed alone; only the last one needs `TRAILER!!!`.
- Regular files with `nlink` ≥ 2 and the same (device, inode) are hard links of the first of
  them, across pieces, until the trailer. The first one carries the content.
- Parents are not made: a directory comes before what is in it.

Knows nothing of compression, images and steps.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from sampan.base.entry import Entry, Kind
from sampan.errors import SampanError

MAGIC = b"070701"
_HEADER_SIZE = 110
TRAILER_NAME = b"TRAILER!!!"
MAX_SIZE = 2**32 - 1
_MAX_NAME = 4096  # PATH_MAX, the longest the kernel takes
_MAX_LINK = 1 << 16
_BLOCK = 512
_CHUNK = 1 << 18

_TYPES = {
    Kind.FILE: 0o100000,
    Kind.HARDLINK: 0o100000,
    Kind.DIRECTORY: 0o040000,
    Kind.SYMLINK: 0o120000,
    Kind.CHARACTER: 0o020000,
    Kind.BLOCK: 0o060000,
    Kind.FIFO: 0o010000,
}
_KINDS = {
    0o100000: Kind.FILE,
    0o040000: Kind.DIRECTORY,
    0o120000: Kind.SYMLINK,
    0o020000: Kind.CHARACTER,
    0o060000: Kind.BLOCK,
    0o010000: Kind.FIFO,
}


class CpioError(SampanError):
    """The bytes are not a cpio archive, or an entry does not fit into one."""


class Inode(msgspec.Struct, frozen=True):
    """What tells hard links apart: number (32 bits), device (two times 32 bits), link count."""

    number: int
    device: tuple[int, int] = (3, 1)
    links: int = 1


class Member(msgspec.Struct, frozen=True):
    """An entry as it was read, with its inode."""

    entry: Entry
    inode: Inode


def header(entry: Entry, inode: Inode, size: int | None = None) -> bytes:
    """The header, name and padding of `entry`, and for a symbolic link all of its target.

    `size` is the number of content bytes that the caller writes next, followed by
    `padding(size)`; it defaults to the entry's size for files and 0 for the rest.

    Raises:
        CpioError: the file, its name or a number of it is too large for the format.
    """
    name = os.fsencode(entry.name or ".")
    kind = entry.kind
    body = b""
    if kind is Kind.SYMLINK:
        body = os.fsencode(entry.target)
        size = len(body)
    elif size is None:
        size = entry.size if kind is Kind.FILE else 0
    if size > MAX_SIZE:
        raise CpioError(
            f"{entry.name}: {size} bytes are too many for an initrd (4 GiB is the limit of cpio)",
            hint="put it on a disk, or build a format that keeps files on one",
        )
    if len(name) >= _MAX_NAME:
        raise CpioError(f"{entry.name[:60]}…: the name is longer than 4095 bytes")
    device = entry.device
    if max(entry.uid, entry.gid) > MAX_SIZE or max(device) > MAX_SIZE:
        raise CpioError(f"{entry.name}: owner or device number is too large for cpio")
    mtime = min(max(entry.mtime_ns // 1_000_000_000, 0), MAX_SIZE)
    head = b"070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X00000000%b\0" % (
        inode.number, _TYPES[kind] | entry.mode & 0o7777, entry.uid, entry.gid, inode.links,
        mtime, size, *inode.device, *device, len(name) + 1, name,
    )  # fmt: skip
    return head + b"\0" * (-len(head) % 4) + body + b"\0" * (-len(body) % 4)


def padding(size: int) -> bytes:
    """What follows `size` bytes of content."""
    return b"\0" * (-size % 4)


def trailer(position: int) -> bytes:
    """The end of an archive that is `position` bytes long so far, padded to 512 bytes."""
    end = Entry(TRAILER_NAME.decode(), Kind.FIFO, 0)
    mark = header(end, Inode(0, (0, 0)))
    mark = mark[:14] + b"00000000" + mark[22:]  # a trailer has no type
    return mark + b"\0" * (-(position + len(mark)) % _BLOCK)


def read(stream: BinaryIO) -> Iterator[tuple[Member, Iterator[bytes]]]:
    """The members of an archive, or of several one after another, each with its content.

    Contents that are not consumed are skipped. Symbolic links have their target in the entry
    and no content. Names are given as they are written (untrusted: they may hold `..`).

    Raises:
        CpioError: the archive is damaged or ends early.
    """
    while (head := _next_header(stream)) is not None:
        numbers = _read_numbers(head)
        inode, mode, uid, gid, links, mtime, size, major, minor, rmajor, rminor, length = numbers
        if not 0 < length <= _MAX_NAME:
            raise CpioError("the archive has a member with a name that is too long")
        name = _exactly(stream, length + -(_HEADER_SIZE + length) % 4)[: length - 1]
        if name == TRAILER_NAME:
            continue
        kind = _KINDS.get(mode & 0o170000)
        if kind is None:
            raise CpioError(f"{os.fsdecode(name)}: unknown type {mode & 0o170000:o}")
        target = ""
        if kind is Kind.SYMLINK:
            if size > _MAX_LINK:
                raise CpioError(f"{os.fsdecode(name)}: the link is {size} bytes long")
            target = os.fsdecode(_exactly(stream, size + -size % 4)[:size])
            size = 0
        clean = "" if name == b"." else os.fsdecode(name)
        entry = Entry(
            clean, kind, mode & 0o7777, uid, gid, mtime * 1_000_000_000, size, target,
            (rmajor, rminor),
        )  # fmt: skip
        content = _content(stream, size)
        yield Member(entry, Inode(inode, (major, minor), links)), content
        for _ in content:
            pass


def _next_header(stream: BinaryIO) -> bytes | None:
    """The next header behind any zero padding; None at the end."""
    while True:
        start = stream.read(4)
        if not start:
            return None
        if start.strip(b"\0"):
            return start + _exactly(stream, _HEADER_SIZE - len(start))


def _read_numbers(head: bytes) -> tuple[int, ...]:
    """The twelve numbers of a header: inode, mode, uid, gid, links, mtime, size, devices, name.

    Raises:
        CpioError: it is no header.
    """
    if head[:6] != MAGIC:
        raise CpioError("this is not a cpio archive of format newc")
    try:
        # not int(): that takes signs
        return struct.unpack(">12I", bytes.fromhex(head[6:102].decode("ascii")))
    except (ValueError, struct.error):
        raise CpioError("the archive has a damaged header") from None


def _content(stream: BinaryIO, size: int) -> Iterator[bytes]:
    remaining = size
    while remaining:
        chunk = _exactly(stream, min(remaining, _CHUNK))
        remaining -= len(chunk)
        yield chunk
    _exactly(stream, -size % 4)


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise CpioError("the archive ends early")
    return data
