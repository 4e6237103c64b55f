"""Attributes of files, extended ones, and those of the file system."""

import errno
import os
import struct

import pytest

from sampan.vhost.core.fuse import wire
from sampan.vhost.core.fuse.wire import Op, Set


@pytest.fixture
def file(root):
    path = root / "file"
    path.write_text("0123456789")
    path.chmod(0o644)
    return path


def test_what_is_seen(kernel, file):
    os.utime(file, ns=(-1_500_000_000, 1_000_000_001))
    seen = kernel.attributes(kernel.look_up("file").node)
    assert (seen.size, seen.nlink, seen.bits, seen.owner) == (10, 1, 0o644, (0, 0))
    assert (seen.atime, seen.atime_ns) == ((1 << 64) - 2, 500_000_000)
    assert (seen.mtime, seen.mtime_ns) == (1, 1)
    assert seen.ctime == file.stat().st_ctime_ns // 1_000_000_000


def test_how_long_it_may_be_believed(new_kernel, file):
    kernel = new_kernel(cache_s=2.5)
    assert kernel.look_up("file").seconds == 2
    body = kernel.ask(Op.GETATTR, bytes(16))
    assert wire.ATTRIBUTES_OUT.unpack_from(body)[:2] == (2, 500_000_000)


def test_modes_and_owners(kernel, file):
    node = kernel.look_up("file").node
    assert kernel.set(node, Set.MODE, mode=0o4711).bits == 0o4711
    assert kernel.set(node, Set.UID, uid=999).owner == (999, 0)
    assert kernel.set(node, Set.GID, gid=998).owner == (999, 998)
    assert file.stat().st_uid == os.geteuid()
    refused = wire.SETATTR_IN.pack(Set.UID, *[0] * 12, 0xFFFFFFFF, 0, 0)
    assert kernel.refuses(Op.SETATTR, refused, node) == errno.EINVAL


def test_sizes(kernel, file, root):
    node = kernel.look_up("file").node
    assert kernel.set(node, Set.SIZE, size=4).size == 4
    handle, _ = kernel.open(node, os.O_RDWR)
    assert kernel.set(node, Set.SIZE | Set.HANDLE, size=2, handle=handle).size == 2
    assert file.read_text() == "01"
    kernel.set(node, Set.MODE, mode=0o4755)
    assert kernel.set(node, Set.SIZE, size=2).bits == 0o4755
    assert kernel.set(node, Set.SIZE | Set.KILL_SUIDGID, size=2).bits == 0o755
    (root / "folder").mkdir()
    body = wire.SETATTR_IN.pack(Set.SIZE, *[0] * 15)
    assert kernel.refuses(Op.SETATTR, body, kernel.look_up("folder").node) == errno.EINVAL
    body = wire.SETATTR_IN.pack(Set.SIZE, 0, 0, 1 << 63, *[0] * 12)
    assert kernel.refuses(Op.SETATTR, body, node) == errno.EFBIG
    handle, _ = kernel.open(node)
    body = wire.SETATTR_IN.pack(Set.SIZE | Set.HANDLE, 0, handle, *[0] * 13)
    assert kernel.refuses(Op.SETATTR, body, node) == errno.EBADF


def test_times(kernel, file):
    node = kernel.look_up("file").node
    kernel.set(node, Set.ATIME | Set.MTIME, atime=5, atime_ns=6, mtime=(1 << 64) - 3, mtime_ns=7)
    status = file.stat()
    assert (status.st_atime_ns, status.st_mtime_ns) == (5_000_000_006, -2_999_999_993)
    kernel.set(node, Set.MTIME, mtime=9)
    assert (file.stat().st_atime_ns, file.stat().st_mtime) == (5_000_000_006, 9)
    seen = kernel.set(node, Set.ATIME | Set.ATIME_NOW)
    assert seen.atime > 1_000_000_000
    assert seen.mtime == 9
    body = wire.SETATTR_IN.pack(Set.MTIME, *[0] * 7, 0, 1_000_000_000, *[0] * 6)
    assert kernel.refuses(Op.SETATTR, body, node) == errno.EINVAL


def test_a_links_own_times_and_owner(kernel, host_kernel, root):
    (root / "target").touch()
    (root / "link").symlink_to("target")
    before = (root / "target").stat()
    for each in (kernel, host_kernel):
        node = each.look_up("link").node
        assert each.set(node, Set.MTIME, mtime=4).mtime == 4
        own = os.geteuid()
        each.set(node, Set.UID, uid=own)
    assert (root / "target").stat() == before


def test_the_file_system(kernel, root):
    body = kernel.ask(Op.STATFS)
    assert len(body) == 80
    assert struct.unpack_from("<Q", body)[0] == os.statvfs(root).f_blocks


def extended(name, value, flags=0):
    return wire.SETXATTR_IN.pack(len(value), flags) + name + b"\0" + value


def test_extended_attributes(kernel, file):
    node = kernel.look_up("file").node
    kernel.ask(Op.SETXATTR, extended(b"user.one", b"value"), node)
    kernel.ask(Op.SETXATTR, extended(b"security.capability", b"cap"), node)
    assert os.getxattr(file, "user.one") == b"value"
    assert os.getxattr(file, "user.sampan.of.security.capability") == b"cap"
    assert kernel.ask(Op.GETXATTR, wire.SIZE.pack(0, 0) + b"user.one\0", node) == bytes(
        [5]
    ) + bytes(7)
    assert kernel.ask(Op.GETXATTR, wire.SIZE.pack(5, 0) + b"user.one\0", node) == b"value"
    assert kernel.refuses(Op.GETXATTR, wire.SIZE.pack(4, 0) + b"user.one\0", node) == errno.ERANGE
    names = kernel.ask(Op.LISTXATTR, wire.SIZE.pack(100, 0), node)
    assert sorted(names.split(b"\0")) == [b"", b"security.capability", b"user.one"]
    kernel.ask(Op.REMOVEXATTR, b"user.one\0", node)
    assert kernel.refuses(Op.GETXATTR, wire.SIZE.pack(5, 0) + b"user.one\0", node) == errno.ENODATA


def test_the_record_is_hidden(kernel, file):
    node = kernel.look_up("file").node
    kernel.set(node, Set.UID, uid=999)
    assert os.getxattr(file, "user.sampan.owner") == b"999:0:100644"
    assert kernel.ask(Op.LISTXATTR, wire.SIZE.pack(100, 0), node) == b""
    name = b"user.sampan.owner"
    body = wire.SIZE.pack(100, 0) + name + b"\0"
    assert kernel.refuses(Op.GETXATTR, body, node) == errno.ENODATA
    assert kernel.refuses(Op.SETXATTR, extended(name, b"0:0:104755"), node) == errno.ENOTSUP
    assert kernel.refuses(Op.REMOVEXATTR, name + b"\0", node) == errno.ENOTSUP
    assert kernel.attributes(node).owner == (999, 0)


@pytest.mark.parametrize("name", [b"system.posix_acl_access", b"other.x", b"x", b""])
def test_attributes_there_can_not_be(kernel, file, name):
    node = kernel.look_up("file").node
    assert kernel.refuses(Op.SETXATTR, extended(name, b"x"), node) == errno.ENOTSUP
    assert kernel.refuses(Op.GETXATTR, wire.SIZE.pack(9, 0) + name + b"\0", node) == errno.ENODATA


def test_values_that_make_no_sense(kernel, file):
    node = kernel.look_up("file").node
    for body in (
        wire.SETXATTR_IN.pack(9, 0) + b"user.x\0short", wire.SETXATTR_IN.pack(0, 4) + b"user.x\0",
        extended(b"user.x", b"v" * ((64 << 10) + 1)), b"", wire.SETXATTR_IN.pack(0, 0) + b"user.x",
    ):  # fmt: skip
        assert kernel.refuses(Op.SETXATTR, body, node) == errno.EINVAL
