"""A request, as it lies in the buffers of a chain.

All but the data of WRITE is copied out once, so that the guest cannot change it after it was
checked. Whatever is missing or too long is the guest's EINVAL.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from struct import Struct
from typing import Any, NamedTuple

from sampan.vhost.core.error import RemoteProtocolError
from sampan.vhost.core.fuse.wire import IN_HEADER, MAX_REQUEST, WRITE_IN, Op

MAX_NAME = 255
MAX_TARGET = 4095  # of a symbolic link
_SLASH = 47
_WRITE_HEAD = IN_HEADER.size + WRITE_IN.size


class Request(NamedTuple):
    """Who asks for what. `op` may be a number that is none of `Op`; `data` is what WRITE brings."""

    op: int
    unique: int
    node: int
    uid: int
    gid: int
    pid: int
    body: bytes
    data: list[memoryview]

    def read(self, form: Struct) -> tuple[Any, ...]:
        """The numbers that the body begins with.

        Raises:
            OSError: EINVAL, they are not there.
        """
        if len(self.body) < form.size:
            raise _invalid()
        return form.unpack_from(self.body)

    def name(self, start: int = 0) -> bytes:
        """The one name from `start` on.

        Raises:
            OSError: EINVAL or ENAMETOOLONG, it is no name of something in a folder.
        """
        [name] = self.texts(start, 1)
        return checked(name)

    def texts(self, start: int, count: int) -> list[bytes]:
        """So many texts from `start` on, each of which ended with a NUL.

        Raises:
            OSError: EINVAL, there are fewer.
        """
        found = self.body[start:].split(b"\0", count)
        if len(found) <= count:
            raise _invalid()
        return found[:count]


def checked(name: bytes) -> bytes:
    """The name, which is that of something in a folder: no path, and not `.` or `..`.

    Raises:
        OSError: EINVAL or ENAMETOOLONG, it is not.
    """
    if len(name) > MAX_NAME:
        raise OSError(errno.ENAMETOOLONG, "a name that is too long")
    if not is_name(name):
        raise _invalid()
    return name


def is_name(name: bytes) -> bool:
    """Whether something in a folder can be called that."""
    return (
        0 < len(name) <= MAX_NAME
        and name not in (b".", b"..")
        and _SLASH not in name
        and 0 not in name
    )


def parse(buffers: Sequence[memoryview]) -> Request:
    """The request that lies in `buffers`.

    Raises:
        RemoteProtocolError: there is no whole request.
    """
    head = bytes(buffers[0][:_WRITE_HEAD]) if buffers else b""
    if len(head) < IN_HEADER.size:
        head = _gather(buffers, 0, IN_HEADER.size)
    length, op, unique, node, uid, gid, pid, _, _ = IN_HEADER.unpack_from(head)
    if not IN_HEADER.size <= length <= MAX_REQUEST:
        raise RemoteProtocolError(f"a request of {length} bytes")
    if op == Op.WRITE and length >= _WRITE_HEAD:
        body = _gather(buffers, IN_HEADER.size, _WRITE_HEAD)
        data = cut(buffers, _WRITE_HEAD, length)
    else:
        body, data = _gather(buffers, IN_HEADER.size, length), []
    return Request(op, unique, node, uid, gid, pid, body, data)


def cut(buffers: Sequence[memoryview], start: int, end: int) -> list[memoryview]:
    """The bytes from `start` to `end` of what lies in `buffers`; fewer, if there are not so many."""
    found: list[memoryview] = []
    at = 0
    for buffer in buffers:
        if at >= end:
            break
        size = len(buffer)
        if at + size > start:
            low, high = max(0, start - at), min(size, end - at)
            found.append(buffer if low == 0 and high == size else buffer[low:high])
        at += size
    return found


def _gather(buffers: Sequence[memoryview], start: int, end: int) -> bytes:
    data = b"".join(cut(buffers, start, end))
    if len(data) != end - start:
        raise RemoteProtocolError(f"a request that lacks {end - start - len(data)} bytes")
    return data


def _invalid() -> OSError:
    return OSError(errno.EINVAL, "a request that makes no sense")
