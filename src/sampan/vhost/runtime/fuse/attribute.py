"""Requests about attributes: a file's own, extended ones, and those of the file system."""

from __future__ import annotations

import errno
import os
import stat

from sampan.vhost.core.fuse import reply, wire
from sampan.vhost.core.fuse.request import Request
from sampan.vhost.core.fuse.wire import Op, Set
from sampan.vhost.runtime.fuse import call
from sampan.vhost.runtime.fuse.call import UTIME_NOW, UTIME_OMIT
from sampan.vhost.runtime.fuse.node import Node
from sampan.vhost.runtime.fuse.share import Handler, Share

_MAX_VALUE = 64 << 10
_U32 = 0xFFFFFFFF


class Attributes:
    """What does these requests."""

    def __init__(self, share: Share) -> None:
        self._share = share
        self.handlers: dict[int, Handler] = {
            Op.GETATTR: self.get,
            Op.SETATTR: self.set,
            Op.STATFS: self.statfs,
            Op.SETXATTR: self.set_extended,
            Op.GETXATTR: self.get_extended,
            Op.LISTXATTR: self.list_extended,
            Op.REMOVEXATTR: self.remove_extended,
        }

    def get(self, request: Request) -> bytes:
        """GETATTR."""
        share = self._share
        node = share.nodes.get(request.node)
        patience = share.patience if node.fd >= 0 else reply.AT_ONCE
        return reply.attributes_out(share.attributes(node), patience)

    def set(self, request: Request) -> bytes:
        """SETATTR."""
        share = self._share
        share.check_writable()
        node = share.nodes.real(request.node)
        (
            valid, _, handle, size, _, atime, mtime, _, atime_ns, mtime_ns, _, mode, _, uid, gid, _,
        ) = request.read(wire.SETATTR_IN)  # fmt: skip
        path, status = share.nodes.path(node), os.fstat(node.fd)
        if valid & (Set.MODE | Set.UID | Set.GID):
            share.owners.change(
                path, status,
                mode if valid & Set.MODE else None,
                _owner(uid) if valid & Set.UID else None,
                _owner(gid) if valid & Set.GID else None,
            )  # fmt: skip
        if valid & Set.SIZE:
            self._truncate(node, path, size, handle if valid & Set.HANDLE else None)
            if valid & Set.KILL_SUIDGID:
                share.owners.kill_privileges(path, os.fstat(node.fd))
        if valid & (Set.ATIME | Set.MTIME):
            call.set_times(
                path,
                _time(valid, Set.ATIME, Set.ATIME_NOW, atime, atime_ns),
                _time(valid, Set.MTIME, Set.MTIME_NOW, mtime, mtime_ns),
            )
        return reply.attributes_out(share.attributes(node), share.patience)

    def _truncate(self, node: Node, path: str, size: int, handle: int | None) -> None:
        if size >= 1 << 63:
            raise OSError(errno.EFBIG, "too large")
        if handle is not None:
            os.ftruncate(self._share.handles.file(handle, writable=True).fd, size)
        elif stat.S_ISREG(node.kind):
            os.truncate(path, size)
        else:
            raise OSError(errno.EINVAL, "no file")

    def statfs(self, request: Request) -> bytes:
        """STATFS."""
        return reply.statfs_out(os.statvfs(self._share.nodes.real(request.node).fd))

    # Extended attributes

    def _host_name(self, name: bytes) -> bytes:
        found = self._share.owners.on_host(name)
        if found is None:
            raise OSError(errno.ENOTSUP, "no such extended attributes here")
        return found

    def _path(self, request: Request) -> str:
        nodes = self._share.nodes
        return nodes.path(nodes.real(request.node))

    def set_extended(self, request: Request) -> bytes:
        """SETXATTR."""
        self._share.check_writable()
        size, flags = request.read(wire.SETXATTR_IN)
        [name] = request.texts(wire.SETXATTR_IN.size, 1)
        start = wire.SETXATTR_IN.size + len(name) + 1
        value = request.body[start : start + size]
        if len(value) != size or size > _MAX_VALUE or flags & ~3:
            raise OSError(errno.EINVAL, "no value")
        os.setxattr(self._path(request), self._host_name(name), value, flags)
        return b""

    def get_extended(self, request: Request) -> bytes:
        """GETXATTR: the value, or how long it is, if there is no room for one."""
        size, _ = request.read(wire.SIZE)
        [name] = request.texts(wire.SIZE.size, 1)
        try:
            name = self._host_name(name)
        except OSError:  # as if there were none: this is asked for before each change
            raise OSError(errno.ENODATA, "no such attribute") from None
        return _sized(os.getxattr(self._path(request), name), size)

    def list_extended(self, request: Request) -> bytes:
        """LISTXATTR: names that end with NULs."""
        size, _ = request.read(wire.SIZE)
        found = [
            self._share.owners.in_guest(os.fsencode(name))
            for name in os.listxattr(self._path(request))
        ]
        return _sized(b"".join(name + b"\0" for name in found if name is not None), size)

    def remove_extended(self, request: Request) -> bytes:
        """REMOVEXATTR."""
        self._share.check_writable()
        [name] = request.texts(0, 1)
        os.removexattr(self._path(request), self._host_name(name))
        return b""


def _sized(value: bytes, size: int) -> bytes:
    if not size:
        return wire.SIZE.pack(len(value), 0)
    if len(value) > size:
        raise OSError(errno.ERANGE, "too long")
    return value


def _owner(number: int) -> int:
    if number == _U32:  # which chown(2) takes for "as it is"
        raise OSError(errno.EINVAL, "nobody has that number")
    return number


def _time(valid: int, given: Set, now: Set, seconds: int, ns: int) -> tuple[int, int]:
    if not valid & given:
        return 0, UTIME_OMIT
    if valid & now:
        return 0, UTIME_NOW
    if ns >= 1_000_000_000:
        raise OSError(errno.EINVAL, "no time")
    return seconds - (1 << 64) if seconds >= 1 << 63 else seconds, ns
