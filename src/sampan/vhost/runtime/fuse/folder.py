"""Requests about open folders: their entries, with or without what LOOKUP would tell of each.

An entry's offset is the host's own: where the next entry begins, for lseek(2).
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct

from sampan.vhost.core.fuse import reply, wire
from sampan.vhost.core.fuse.request import Request
from sampan.vhost.core.fuse.wire import MAX_DATA, Op
from sampan.vhost.runtime.fuse import call
from sampan.vhost.runtime.fuse.handle import Handle
from sampan.vhost.runtime.fuse.node import Node
from sampan.vhost.runtime.fuse.share import Handler, Share

_HEAD = struct.Struct("<QqHB")  # inode, what follows, length, type
_NAMES = b".", b".."
_BATCH = 32 << 10
_KEEPING = 64  # folders whose entries are kept until they are asked for


class Folders:
    """What does these requests."""

    def __init__(self, share: Share) -> None:
        self._share = share
        self._buffer = ctypes.create_string_buffer(_BATCH)
        self._keeping: dict[Handle, None] = {}
        self.handlers: dict[int, Handler] = {
            Op.OPENDIR: self.open,
            Op.READDIR: self.read,
            Op.READDIRPLUS: self.read_plus,
            Op.FSYNCDIR: self.sync,
        }

    def open(self, request: Request) -> bytes:
        """OPENDIR."""
        share = self._share
        node = share.nodes.real(request.node)
        share.handles.check()
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK | os.O_CLOEXEC
        fd = os.open(share.nodes.path(node), flags)
        return reply.open_out(share.handles.add(Handle(fd, node, folder=True)))

    def read(self, request: Request) -> bytes:
        """READDIR."""
        return self._read(request, plus=False)

    def read_plus(self, request: Request) -> bytes:
        """READDIRPLUS."""
        return self._read(request, plus=True)

    def sync(self, request: Request) -> bytes:
        """FSYNCDIR."""
        number, *_ = request.read(wire.FSYNC_IN)
        os.fsync(self._share.handles.folder(number).fd)
        return b""

    def _read(self, request: Request, *, plus: bool) -> bytes:
        number, offset, size, *_ = request.read(wire.READ_IN)
        handle = self._share.handles.folder(number)
        size = min(size, MAX_DATA)
        if offset != handle.at:
            handle.entries.clear()
            if offset >= 1 << 63:
                raise OSError(errno.EINVAL, "no such place in the folder")
            os.lseek(handle.fd, offset, os.SEEK_SET)
            handle.at = offset
        found = bytearray()
        while handle.entries or self._fill(handle):
            name, inode, following, kind = handle.entries[-1]
            if len(found) + reply.entry_size(name, plus=plus) > size:
                break
            handle.entries.pop()
            handle.at = following
            found += self._entry(handle.node, name, inode, following, kind, plus=plus)
        self._keep(handle)
        if not found and handle.entries:
            raise OSError(errno.EINVAL, "no room for one entry")
        return bytes(found)

    def _keep(self, handle: Handle) -> None:
        """The folder's entries are kept for now; those that were kept longest are read again later."""
        self._keeping.pop(handle, None)
        if not handle.entries:
            return
        self._keeping[handle] = None
        if len(self._keeping) > _KEEPING:
            oldest = next(iter(self._keeping))
            del self._keeping[oldest]
            oldest.entries.clear()
            if oldest.fd >= 0:  # still open
                os.lseek(oldest.fd, oldest.at, os.SEEK_SET)

    def _fill(self, handle: Handle) -> bool:
        """Read more entries, the next one last; False: there are no more."""
        size = call.read_folder(handle.fd, self._buffer)
        data, at = self._buffer.raw[:size], 0
        entries = []
        while at < size:
            inode, following, length, kind = _HEAD.unpack_from(data, at)
            name = data[at + _HEAD.size : at + length].split(b"\0", 1)[0]
            entries.append((name, inode, following, kind))
            at += length
        entries.reverse()
        handle.entries = entries
        return bool(entries)

    def _entry(
        self, folder: Node, name: bytes, inode: int, following: int, kind: int, *, plus: bool
    ) -> bytes:
        nodes = self._share.nodes
        if name in _NAMES:
            inode = nodes.number(os.fstat(folder.fd))  # of `..` the kernel knows itself
        if not plus:
            kind = self._share.owners.listed(folder.fd, name, kind)
            return reply.folder_entry(name, inode, following, kind, None)
        if name in _NAMES:
            return reply.folder_entry(name, inode, following, kind)
        try:
            node, status = nodes.look_up(folder, name)
            found = self._share.entry(node, status)
        except OSError:  # gone already, or too many are known: the kernel asks, if it wants to know
            return reply.folder_entry(name, inode, following, kind)
        kind = stat.S_IFMT(reply.mode(found)) >> 12
        return reply.folder_entry(name, nodes.number(status), following, kind, found)
