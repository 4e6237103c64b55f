"""A guest's kernel, as far as its questions about a share go."""

import errno
import os
import stat
import struct

import pytest

from sampan.vhost.core.fuse import wire
from sampan.vhost.core.fuse.wire import Op
from sampan.vhost.runtime.fuse.owner import HostOwners, RecordedOwners
from sampan.vhost.runtime.fuse.server import Server
from sampan.vhost.runtime.fuse.share import Setting, share

ROOT = 1
UNIQUE = 0x1234_5678_9ABC
ROOM = (1 << 20) + 4096


class RefusedError(Exception):
    """The answer is an errno."""

    def __init__(self, number):
        super().__init__(errno.errorcode.get(number, number))
        self.errno = number


class Attributes:
    """What the guest sees of a file."""

    def __init__(self, data):
        assert len(data) == wire.ATTRIBUTES.size
        (
            self.ino, self.size, self.blocks, self.atime, self.mtime, self.ctime, self.atime_ns,
            self.mtime_ns, self.ctime_ns, self.mode, self.nlink, self.uid, self.gid, self.rdev,
            self.blksize, self.flags,
        ) = wire.ATTRIBUTES.unpack(data)  # fmt: skip

    @property
    def bits(self):
        return stat.S_IMODE(self.mode)

    @property
    def owner(self):
        return self.uid, self.gid


class Entry:
    """The answer to LOOKUP: a node, and what is seen of it."""

    def __init__(self, data):
        fields = wire.ENTRY_OUT.unpack_from(data)
        self.node, self.seconds = fields[0], fields[2]
        self.seen = Attributes(data[wire.ENTRY_OUT.size :][: wire.ATTRIBUTES.size])


class Kernel:
    """Asks a server; `uid`, `gid` and `pid` are those of the task it asks for."""

    def __init__(self, server, served):
        self.server = server
        self.share = served
        self.uid = self.gid = 0
        self.pid = 100

    def raw(self, op, body=b"", node=ROOT, *, length=None, room=ROOM):
        """The answer's bytes; none, if there was no answer."""
        size = wire.IN_HEADER.size + len(body) if length is None else length
        header = wire.IN_HEADER.pack(size, op, UNIQUE, node, self.uid, self.gid, self.pid, 0, 0)
        views = [memoryview(bytearray(room))] if room is not None else []
        data = header + body
        question = [memoryview(data[:40]), memoryview(data[40:50]), memoryview(data[50:])]
        written = self.server.handle(question, views)
        return bytes(views[0][:written]) if views else b""

    def ask(self, op, body=b"", node=ROOT):
        answer = self.raw(op, body, node)
        length, error, unique = wire.OUT_HEADER.unpack_from(answer)
        assert (length, unique) == (len(answer), UNIQUE)
        if error:
            assert length == wire.OUT_HEADER.size
            raise RefusedError(-error)
        return answer[wire.OUT_HEADER.size :]

    def refuses(self, op, body=b"", node=ROOT):
        """The errno that is the answer."""
        with pytest.raises(RefusedError) as refused:
            self.ask(op, body, node)
        return refused.value.errno

    def init(self, major=7, minor=38, flags=(1 << 32) - 1):
        return self.ask(Op.INIT, wire.INIT_IN.pack(major, minor, 131072, flags).ljust(64, b"\0"), 0)

    def look_up(self, path, node=ROOT):
        """The entry at the end of a path."""
        entry = None
        for name in path.split("/"):
            entry = Entry(self.ask(Op.LOOKUP, os.fsencode(name) + b"\0", node))
            node = entry.node
        return entry

    def forget(self, node, count=1):
        assert self.raw(Op.FORGET, wire.NODE.pack(count), node, room=None) == b""

    def attributes(self, node):
        body = self.ask(Op.GETATTR, wire.GETATTR_IN.pack(0, 0, 0), node)
        return Attributes(body[wire.ATTRIBUTES_OUT.size :])

    def set(self, node, valid, **values):
        names = ("handle", "size", "lock", "atime", "mtime", "ctime", "atime_ns", "mtime_ns",
                 "ctime_ns", "mode", "unused", "uid", "gid", "unused2")  # fmt: skip
        fields = [values.get(name, 0) for name in names]
        body = self.ask(Op.SETATTR, wire.SETATTR_IN.pack(valid, 0, *fields), node)
        return Attributes(body[wire.ATTRIBUTES_OUT.size :])

    def open(self, node, flags=os.O_RDONLY, more=0):
        """The number of the handle, and what the kernel is told of it."""
        body = self.ask(Op.OPEN, wire.OPEN_IN.pack(flags, more), node)
        handle, told, _ = wire.OPEN_OUT.unpack(body)
        return handle, told

    def create(self, name, mode=0o644, flags=os.O_RDWR, node=ROOT, op=Op.CREATE):
        """The entry, and the number of the handle."""
        body = self.ask(op, wire.CREATE_IN.pack(flags, mode, 0, 0) + name.encode() + b"\0", node)
        split = wire.ENTRY_OUT.size + wire.ATTRIBUTES.size
        return Entry(body), wire.OPEN_OUT.unpack(body[split:])[0]

    def make_folder(self, name, mode=0o755, node=ROOT):
        return Entry(self.ask(Op.MKDIR, struct.pack("<II", mode, 0) + name.encode() + b"\0", node))

    def make_node(self, name, mode, device=0, node=ROOT):
        body = wire.MKNOD_IN.pack(mode, device, 0, 0) + name.encode() + b"\0"
        return Entry(self.ask(Op.MKNOD, body, node))

    def symlink(self, name, target, node=ROOT):
        return Entry(self.ask(Op.SYMLINK, f"{name}\0{target}\0".encode(), node))

    def read(self, handle, offset=0, size=4096):
        return self.ask(Op.READ, wire.READ_IN.pack(handle, offset, size, 0, 0, 0, 0))

    def write(self, handle, data, offset=0, flags=0):
        body = wire.WRITE_IN.pack(handle, offset, len(data), flags, 0, 0, 0) + data
        return wire.WRITE_OUT.unpack(self.ask(Op.WRITE, body))[0]

    def release(self, handle):
        self.ask(Op.RELEASE, wire.RELEASE_IN.pack(handle, 0, 0, 0))

    def rename(self, old, new, node=ROOT, to=ROOT, flags=None):
        texts = f"{old}\0{new}\0".encode()
        if flags is None:
            return self.ask(Op.RENAME, wire.NODE.pack(to) + texts, node)
        return self.ask(Op.RENAME2, wire.RENAME2_IN.pack(to, flags, 0) + texts, node)


@pytest.fixture
def root(tmp_path):
    """The folder that is shared."""
    before = os.umask(0)
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o755)
    yield folder
    os.umask(before)


@pytest.fixture
def new_kernel(root):
    made = []

    def new(owners=None, limit=1024, clock=lambda: 1 << 62, **setting):
        served = share(
            root, RecordedOwners() if owners is None else owners, Setting(**setting), limit
        )
        made.append(served)
        kernel = Kernel(Server(served, clock), served)
        kernel.init()
        return kernel

    yield new
    for each in made:
        each.close()


@pytest.fixture
def kernel(new_kernel):
    return new_kernel()


@pytest.fixture
def host_kernel(new_kernel):
    kernel = new_kernel(HostOwners())
    kernel.uid, kernel.gid = os.geteuid(), os.getegid()
    return kernel
