"""Requests about names: finding, making, removing and renaming what is in folders."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress

from sampan.vhost.core.fuse import reply, wire
from sampan.vhost.core.fuse.record import NOBODY
from sampan.vhost.core.fuse.reply import Owner
from sampan.vhost.core.fuse.request import MAX_TARGET, Request, checked
from sampan.vhost.core.fuse.wire import Op, Opened
from sampan.vhost.runtime.fuse import call
from sampan.vhost.runtime.fuse.file import host_flags, is_writing
from sampan.vhost.runtime.fuse.handle import Handle
from sampan.vhost.runtime.fuse.node import Node
from sampan.vhost.runtime.fuse.share import Handler, Share

_RENAMES = call.NOREPLACE | call.EXCHANGE
_NEW = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_BITS = 0o7777


class Entries:
    """What does these requests."""

    def __init__(self, share: Share) -> None:
        self._share = share
        self.handlers: dict[int, Handler] = {
            Op.LOOKUP: self.look_up,
            Op.FORGET: self.forget,
            Op.BATCH_FORGET: self.forget_batch,
            Op.READLINK: self.read_link,
            Op.SYMLINK: self.symlink,
            Op.MKNOD: self.make_node,
            Op.MKDIR: self.make_folder,
            Op.CREATE: self.create,
            Op.TMPFILE: self.make_nameless,
            Op.LINK: self.link,
            Op.UNLINK: self.unlink,
            Op.RMDIR: self.remove_folder,
            Op.RENAME: self.rename,
            Op.RENAME2: self.rename2,
        }

    def look_up(self, request: Request) -> bytes:
        """LOOKUP."""
        nodes = self._share.nodes
        return self._share.entry(*nodes.look_up(nodes.real(request.node), request.name()))

    def forget(self, request: Request) -> bytes:
        """FORGET, which is not answered."""
        self._share.nodes.forget(request.node, *request.read(wire.NODE))
        return b""

    def forget_batch(self, request: Request) -> bytes:
        """BATCH_FORGET, which is not answered."""
        count, _ = request.read(wire.SIZE)
        rows = request.body[wire.SIZE.size :][: count * wire.FORGET_ONE.size]
        for number, times in wire.FORGET_ONE.iter_unpack(
            rows[: len(rows) - len(rows) % wire.FORGET_ONE.size]
        ):
            self._share.nodes.forget(number, times)
        return b""

    def read_link(self, request: Request) -> bytes:
        """READLINK."""
        node = self._share.nodes.real(request.node)
        if not stat.S_ISLNK(node.kind):
            raise OSError(errno.EINVAL, "no link")
        return os.readlink(b"", dir_fd=node.fd)

    # Making

    def symlink(self, request: Request) -> bytes:
        """SYMLINK."""
        name, target = request.texts(0, 2)
        if not 0 < len(target) <= MAX_TARGET:
            raise OSError(errno.ENAMETOOLONG if target else errno.ENOENT, "no target")
        mode = stat.S_IFLNK | 0o777
        return self._made(
            request, checked(name), mode, lambda at: os.symlink(target, name, dir_fd=at)
        )

    def make_folder(self, request: Request) -> bytes:
        """MKDIR."""
        mode, _ = request.read(wire.MKDIR_IN)
        name = request.name(wire.MKDIR_IN.size)
        mode = stat.S_IFDIR | mode & _BITS
        first = stat.S_IMODE(self._share.owners.first(mode))
        return self._made(request, name, mode, lambda at: os.mkdir(name, first, dir_fd=at))

    def make_node(self, request: Request) -> bytes:
        """MKNOD."""
        mode, device, _, _ = request.read(wire.MKNOD_IN)
        name = request.name(wire.MKNOD_IN.size)
        first = self._share.owners.first(mode)
        if stat.S_ISREG(first):

            def make(folder: int) -> None:
                os.close(os.open(name, _NEW | os.O_WRONLY, stat.S_IMODE(first), dir_fd=folder))

        elif stat.S_ISFIFO(first) or stat.S_ISSOCK(first):

            def make(folder: int) -> None:
                os.mknod(name, first, dir_fd=folder)

        else:
            raise OSError(errno.EINVAL, "nothing that can be made")
        return self._made(request, name, mode, make, device)

    def _made(
        self, request: Request, name: bytes, mode: int, make: Callable[[int], None], device: int = 0
    ) -> bytes:
        """Make something, and see to it that it is the guest's task's."""
        share = self._share
        share.check_writable()
        folder = share.nodes.real(request.node)
        make(folder.fd)
        node, status = share.nodes.look_up(folder, name)
        try:
            if not _is_new(status):
                raise OSError(errno.EEXIST, "somebody of the host has changed it already")
            self._own(request, node, status, mode, device)
        except OSError:
            self._take_back(folder, name, node, status)
            raise
        return share.entry(node)

    def _own(
        self, request: Request, node: Node, status: os.stat_result, mode: int, device: int = 0
    ) -> None:
        share = self._share
        folder = share.nodes.real(request.node)
        above = share.owners.shown(share.nodes.path(folder), os.fstat(folder.fd))
        new = Owner(mode, request.uid, request.gid, device)
        share.owners.created(share.nodes.path(node), status, new, above)

    def _take_back(self, folder: Node, name: bytes, node: Node, status: os.stat_result) -> None:
        """What was made cannot be owned by the task that made it."""
        self._share.nodes.forget(node.id, 1)
        if _is_new(status):
            with suppress(OSError):
                if stat.S_ISDIR(status.st_mode):
                    os.rmdir(name, dir_fd=folder.fd)
                else:
                    os.unlink(name, dir_fd=folder.fd)

    def create(self, request: Request) -> bytes:
        """CREATE: make a file, if there is none, and open it."""
        share = self._share
        share.check_writable()
        flags, mode, _, _ = request.read(wire.CREATE_IN)
        name = request.name(wire.CREATE_IN.size)
        folder = share.nodes.real(request.node)
        share.handles.check()
        mode = stat.S_IFREG | mode & _BITS
        first = stat.S_IMODE(share.owners.first(mode))
        try:
            fd = os.open(name, host_flags(flags) | _NEW, first, dir_fd=folder.fd)
        except FileExistsError:
            if flags & os.O_EXCL:
                raise
            return self._open_existing(folder, name, flags)
        try:
            node, status = share.nodes.adopt(share.nodes.reopen(fd), folder, name)
            try:
                self._own(request, node, status, mode)
            except OSError:
                self._take_back(folder, name, node, status)
                raise
            found = share.entry(node)
        except OSError:
            os.close(fd)
            raise
        return found + self._opened(fd, node, flags)

    def _open_existing(self, folder: Node, name: bytes, flags: int) -> bytes:
        share = self._share
        node, status = share.nodes.look_up(folder, name)
        try:
            if not stat.S_ISREG(status.st_mode):  # the kernel is to look again
                raise OSError(errno.ESTALE, "no file")
            fd = os.open(share.nodes.path(node), host_flags(flags))
        except OSError:
            share.nodes.forget(node.id, 1)
            raise
        try:
            found = share.entry(node)
        except OSError:
            os.close(fd)
            raise
        return found + self._opened(fd, node, flags)

    def make_nameless(self, request: Request) -> bytes:
        """TMPFILE: a file without a name, open."""
        share = self._share
        share.check_writable()
        flags, mode, _, _ = request.read(wire.CREATE_IN)
        folder = share.nodes.real(request.node)
        share.handles.check()
        mode = stat.S_IFREG | mode & _BITS
        first = stat.S_IMODE(share.owners.first(mode))
        flags = host_flags(flags)
        fd = os.open(share.nodes.path(folder), flags | os.O_TMPFILE, first)
        try:
            node, status = share.nodes.adopt(share.nodes.reopen(fd), folder, b"")
            try:
                self._own(request, node, status, mode)
            except OSError:
                share.nodes.forget(node.id, 1)
                raise
            found = share.entry(node)
        except OSError:
            os.close(fd)
            raise
        return found + self._opened(fd, node, flags)

    def _opened(self, fd: int, node: Node, flags: int) -> bytes:
        handle = self._share.handles.add(Handle(fd, node, writable=is_writing(flags)))
        return reply.open_out(handle, Opened.NOTHING)

    def link(self, request: Request) -> bytes:
        """LINK: another name for a file."""
        share = self._share
        share.check_writable()
        [old] = request.read(wire.NODE)
        name = request.name(wire.NODE.size)
        node, folder = share.nodes.real(old), share.nodes.real(request.node)
        os.link(
            share.nodes.path(node), name, src_dir_fd=folder.fd, dst_dir_fd=folder.fd,
            follow_symlinks=True,
        )  # fmt: skip
        return share.entry(share.nodes.tell(node, folder, name))

    # Removing and renaming

    def unlink(self, request: Request) -> bytes:
        """UNLINK."""
        self._share.check_writable()
        name = request.name()
        os.unlink(name, dir_fd=self._share.nodes.real(request.node).fd)
        return b""

    def remove_folder(self, request: Request) -> bytes:
        """RMDIR."""
        self._share.check_writable()
        name = request.name()
        os.rmdir(name, dir_fd=self._share.nodes.real(request.node).fd)
        return b""

    def rename(self, request: Request) -> bytes:
        """RENAME."""
        [new] = request.read(wire.NODE)
        return self._rename(request, new, 0, wire.NODE.size)

    def rename2(self, request: Request) -> bytes:
        """RENAME2: perhaps without replacing, or with exchanging."""
        new, flags, _ = request.read(wire.RENAME2_IN)
        if flags & ~_RENAMES:
            raise OSError(errno.EINVAL, "no such way to rename")
        return self._rename(request, new, flags, wire.RENAME2_IN.size)

    def _rename(self, request: Request, new: int, flags: int, start: int) -> bytes:
        nodes = self._share.nodes
        self._share.check_writable()
        old_name, new_name = map(checked, request.texts(start, 2))
        old_folder, new_folder = nodes.real(request.node), nodes.real(new)
        call.rename(old_folder.fd, old_name, new_folder.fd, new_name, flags)
        moved = nodes.placed(old_folder, old_name)
        other = nodes.placed(new_folder, new_name)
        if moved is not None:
            nodes.place(moved, new_folder, new_name)
        if flags & call.EXCHANGE and other is not None:
            nodes.place(other, old_folder, old_name)
        return b""


def _is_new(status: os.stat_result) -> bool:
    """Whether this can be what was made just now: it has no other name, and is ours, if we are root.

    What others have, only root could give away. Some file systems have one owner for all.
    """
    is_alone = stat.S_ISDIR(status.st_mode) or status.st_nlink == 1
    return is_alone and (os.geteuid() != 0 or status.st_uid in (0, NOBODY))
