"""Requests about open files. Data goes between files and the guest's memory without being copied here."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence

from sampan.vhost.core.fuse import reply, wire
from sampan.vhost.core.fuse.request import Request, cut
from sampan.vhost.core.fuse.wire import MAX_DATA, OUT_HEADER, Op, Opened
from sampan.vhost.runtime.fuse import call
from sampan.vhost.runtime.fuse.handle import Handle
from sampan.vhost.runtime.fuse.node import Node
from sampan.vhost.runtime.fuse.share import Handler, Share

_KEPT = os.O_ACCMODE | os.O_APPEND | os.O_TRUNC | os.O_SYNC | os.O_DSYNC
_ALWAYS = os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_SEEKS = (os.SEEK_DATA, os.SEEK_HOLE)
_ALLOCATIONS = 0x1 | 0x2 | 0x8 | 0x10 | 0x20  # keep size, punch, collapse, zero, insert
_MAX_COPY = 16 << 20  # at once: others wait
_TICK_NS = 20_000_000  # a file can change twice within one tick of the clock and look the same


def is_writing(flags: int) -> bool:
    """Whether a file that is opened with these flags may be written."""
    return flags & os.O_ACCMODE != os.O_RDONLY


def host_flags(flags: int) -> int:
    """Those of a guest's flags that are the host's business.

    Raises:
        OSError: EINVAL, no file is opened like that.
    """
    if flags & os.O_ACCMODE == os.O_ACCMODE:
        raise OSError(errno.EINVAL, "neither to be read nor to be written")
    return flags & _KEPT | _ALWAYS


class Files:
    """What does these requests. `clock` is the time in nanoseconds, as files have it."""

    def __init__(self, share: Share, clock: Callable[[], int]) -> None:
        self._share = share
        self._clock = clock
        self.handlers: dict[int, Handler] = {
            Op.OPEN: self.open,
            Op.WRITE: self.write,
            Op.FLUSH: self.flush,
            Op.RELEASE: self.release,
            Op.FSYNC: self.sync,
            Op.FALLOCATE: self.allocate,
            Op.LSEEK: self.seek,
            Op.COPY_FILE_RANGE: self.copy,
            Op.SYNCFS: self.sync_all,
        }

    def open(self, request: Request) -> bytes:
        """OPEN: of regular files only. The guest's kernel needs no others, and some would block."""
        flags, more = request.read(wire.OPEN_IN)
        share = self._share
        node = share.nodes.real(request.node)
        if not stat.S_ISREG(node.kind):
            raise OSError(errno.ENXIO, "no file")
        if is_writing(flags) or flags & os.O_TRUNC:
            share.check_writable()
        share.handles.check()
        path = share.nodes.path(node)
        fd = os.open(path, host_flags(flags))
        handle = share.handles.add(Handle(fd, node, writable=is_writing(flags)))
        status = os.fstat(fd)
        if flags & os.O_TRUNC and more & wire.OPEN_KILL_SUIDGID:
            share.owners.kill_privileges(path, status)
        return reply.open_out(handle, self._opened(node, status, flags))

    def _opened(self, node: Node, status: os.stat_result, flags: int) -> int:
        """The kernel keeps what it has of the file, if that has not been changed since it was opened last."""
        looks = (status.st_ctime_ns, status.st_size)
        keep = Opened.KEEP_CACHE if node.seen == looks else Opened.NOTHING
        is_certain = self._clock() - status.st_ctime_ns > _TICK_NS
        node.seen = looks if is_certain else None
        return keep if is_writing(flags) else keep | Opened.NO_FLUSH

    def read(self, request: Request, room: Sequence[memoryview]) -> int:
        """READ: puts the data behind the room for an answer's header; how many bytes."""
        number, offset, size, *_ = request.read(wire.READ_IN)
        handle = self._share.handles.file(number)
        if handle.fd < 0:
            return 0
        start = OUT_HEADER.size
        views = cut(room, start, start + min(size, MAX_DATA))
        return os.preadv(handle.fd, views, _offset(offset)) if views else 0

    def write(self, request: Request) -> bytes:
        """WRITE."""
        number, offset, size, flags, *_ = request.read(wire.WRITE_IN)
        share = self._share
        handle = share.handles.file(number, writable=True)
        if handle.fd < 0:
            return wire.WRITE_OUT.pack(size, 0)
        data = cut(request.data, 0, size)
        written = os.pwritev(handle.fd, data, _offset(offset)) if data else 0
        if flags & wire.WRITE_KILL_SUIDGID:
            share.owners.kill_privileges(share.nodes.path(handle.node), os.fstat(handle.fd))
        return wire.WRITE_OUT.pack(written, 0)

    def flush(self, request: Request) -> bytes:
        """FLUSH: the guest has closed the file, once; some file systems tell of errors then."""
        number, *_ = request.read(wire.RELEASE_IN)
        handle = self._share.handles.file(number)
        if handle.fd >= 0:
            os.close(os.dup(handle.fd))
        return b""

    def release(self, request: Request) -> bytes:
        """RELEASE, and RELEASEDIR."""
        number, *_ = request.read(wire.RELEASE_IN)
        self._share.handles.close(number)
        return b""

    def sync(self, request: Request) -> bytes:
        """FSYNC."""
        number, flags, _ = request.read(wire.FSYNC_IN)
        handle = self._share.handles.file(number)
        if handle.fd >= 0:
            (os.fdatasync if flags & wire.FSYNC_DATA_ONLY else os.fsync)(handle.fd)
        return b""

    def sync_all(self, request: Request) -> bytes:
        """SYNCFS."""
        nodes = self._share.nodes
        fd = os.open(nodes.path(nodes.root), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            call.sync_filesystem(fd)
        finally:
            os.close(fd)
        return b""

    def allocate(self, request: Request) -> bytes:
        """FALLOCATE."""
        number, offset, length, mode, _ = request.read(wire.FALLOCATE_IN)
        if mode & ~_ALLOCATIONS:
            raise OSError(errno.EOPNOTSUPP, "no such way to allocate")
        fd = self._real(number, writable=True)
        call.allocate(fd, mode, _offset(offset), _offset(length))
        return b""

    def seek(self, request: Request) -> bytes:
        """LSEEK: where the next data or the next hole is."""
        number, offset, whence, _ = request.read(wire.LSEEK_IN)
        if whence not in _SEEKS:
            raise OSError(errno.EINVAL, "no such way to seek")
        return wire.OFFSET.pack(os.lseek(self._real(number), _offset(offset), whence))

    def copy(self, request: Request) -> bytes:
        """COPY_FILE_RANGE: not more than a part, so that others have their turn."""
        source, start, _, target, at, length, flags = request.read(wire.COPY_IN)
        if flags:
            raise OSError(errno.EINVAL, "no such way to copy")
        fds = self._real(source), self._real(target, writable=True)
        copied = os.copy_file_range(*fds, min(length, _MAX_COPY), _offset(start), _offset(at))
        return wire.WRITE_OUT.pack(copied, 0)

    def _real(self, number: int, *, writable: bool = False) -> int:
        fd = self._share.handles.file(number, writable=writable).fd
        if fd < 0:
            raise OSError(errno.EBADF, "only pretended")
        return fd


def _offset(number: int) -> int:
    if number >= 1 << 63:
        raise OSError(errno.EINVAL, "too far")
    return number
