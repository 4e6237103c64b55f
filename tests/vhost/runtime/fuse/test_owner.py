"""Owners and modes that the host does not have, and those that it has."""

import errno
import os
import stat

import pytest

from sampan.vhost.core.fuse import wire
from sampan.vhost.core.fuse.wire import Op, Set
from sampan.vhost.runtime.fuse.owner import HostOwners, RecordedOwners

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def test_a_database_owns_its_files_after_a_restart(new_kernel, root):
    kernel = new_kernel()
    data = kernel.make_folder("data").node
    kernel.set(data, Set.UID | Set.GID | Set.MODE, uid=999, gid=999, mode=0o700)
    kernel.uid = kernel.gid = 999
    entry, _ = kernel.create("table", 0o600, node=data)
    assert entry.seen.owner == (999, 999)
    kernel = new_kernel()
    assert kernel.look_up("data").seen.owner == (999, 999)
    assert kernel.look_up("data/table").seen.owner == (999, 999)
    assert (root / "data" / "table").stat().st_uid == os.geteuid()


def test_the_host_can_always_use_its_files(kernel, root):
    file = kernel.create("file", 0o444)[0]
    folder = kernel.make_folder("folder", 0o555)
    assert (file.seen.bits, folder.seen.bits) == (0o444, 0o555)
    assert stat.S_IMODE((root / "file").stat().st_mode) == 0o644
    assert stat.S_IMODE((root / "folder").stat().st_mode) == 0o755
    assert kernel.set(file.node, Set.MODE, mode=0).bits == 0
    assert stat.S_IMODE((root / "file").stat().st_mode) == 0o600


def test_no_setuid_program_reaches_the_host(kernel, root):
    entry, _ = kernel.create("program", 0o4755)
    assert entry.seen.bits == 0o4755
    assert stat.S_IMODE((root / "program").stat().st_mode) == 0o755
    folder = kernel.make_folder("folder", 0o1777)
    assert kernel.set(folder.node, Set.MODE, mode=0o3777).bits == 0o3777
    assert stat.S_IMODE((root / "folder").stat().st_mode) == 0o777


def test_a_file_that_needs_no_record_has_none(kernel, root):
    entry, _ = kernel.create("file", 0o640)
    assert os.listxattr(root / "file") == []
    kernel.set(entry.node, Set.UID, uid=7)
    assert os.listxattr(root / "file") == ["user.sampan.owner"]
    kernel.set(entry.node, Set.UID, uid=0)
    assert os.listxattr(root / "file") == []


def test_what_the_host_changes_is_seen(kernel, root):
    entry, _ = kernel.create("file", 0o644)
    kernel.set(entry.node, Set.UID | Set.MODE, uid=7, mode=0o4750)
    (root / "file").chmod(0o700)
    assert kernel.attributes(entry.node).bits == 0o4700
    assert kernel.attributes(entry.node).uid == 7


def test_a_new_owner_has_no_setuid_program(kernel, root):
    entry, _ = kernel.create("file", 0o6755)
    assert kernel.set(entry.node, Set.UID, uid=7).bits == 0o755
    assert kernel.set(entry.node, Set.UID | Set.MODE, uid=8, mode=0o6755).bits == 0o6755
    folder = kernel.make_folder("folder", 0o755).node
    kernel.set(folder, Set.MODE, mode=0o2755)
    assert kernel.set(folder, Set.UID, uid=8).bits == 0o2755


def test_groups_are_inherited(kernel, host_kernel):
    for name, each in (("recorded", kernel), ("real", host_kernel)):
        own = each.gid
        folder = each.make_folder(name).node
        each.set(folder, Set.MODE, mode=0o2775)
        file, _ = each.create("file", node=folder)
        below = each.make_folder("below", node=folder)
        assert (file.seen.gid, below.seen.gid) == (own, own)
        assert below.seen.bits == 0o2755
        assert file.seen.bits == 0o644


def test_groups_of_others_are_inherited(kernel):
    folder = kernel.make_folder("folder").node
    kernel.set(folder, Set.MODE | Set.GID, mode=0o2775, gid=50)
    assert kernel.create("file", node=folder)[0].seen.owner == (0, 50)
    assert kernel.make_folder("below", node=folder).seen.owner == (0, 50)


@only_root
def test_files_of_others_are_nobodys(kernel, root):
    (root / "other").touch()
    os.chown(root / "other", 12345, 12345)
    entry = kernel.look_up("other")
    assert entry.seen.owner == (65534, 65534)
    body = wire.SETATTR_IN.pack(Set.UID, *[0] * 15)
    assert kernel.refuses(Op.SETATTR, body, entry.node) == errno.EPERM


@only_root
def test_the_hosts_owners(host_kernel, root):
    host_kernel.uid = host_kernel.gid = 999
    entry, _ = host_kernel.create("file", 0o4755)
    assert (root / "file").stat()[4:6] == (999, 999)
    assert stat.S_IMODE((root / "file").stat().st_mode) == 0o4755
    host_kernel.make_folder("folder")
    host_kernel.symlink("link", "x")
    for name in ("folder", "link"):
        assert os.lstat(root / name).st_uid == 999
    assert host_kernel.set(entry.node, Set.GID, gid=5).owner == (999, 5)
    assert os.listxattr(root / "file") == []


def test_an_owner_that_a_user_namespace_does_not_have(host_kernel, root, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EINVAL, "no such user here")

    entry, _ = host_kernel.create("file")
    monkeypatch.setattr(os, "chown", refuse)
    body = wire.SETATTR_IN.pack(Set.UID, *[0] * 12, 5, 0, 0)
    assert host_kernel.refuses(Op.SETATTR, body, entry.node) == errno.EPERM


def test_a_links_owner_stays(kernel):
    link = kernel.symlink("link", "x")
    assert kernel.set(link.node, Set.UID, uid=999).owner == (0, 0)


def test_a_fifo_of_the_hosts_cannot_be_given_away(kernel, root):
    os.mkfifo(root / "fifo", 0o600)
    node = kernel.look_up("fifo").node
    body = wire.SETATTR_IN.pack(Set.UID, *[0] * 12, 5, 0, 0)
    assert kernel.refuses(Op.SETATTR, body, node) == errno.EPERM
    kernel.set(node, Set.UID, uid=0)


def test_capabilities_end_with_a_write_or_a_new_owner(kernel, root):
    entry, handle = kernel.create("program", 0o755)
    name = "user.sampan.of.security.capability"
    os.setxattr(root / "program", name, b"x")
    kernel.write(handle, b"x", flags=wire.WRITE_KILL_SUIDGID)
    assert os.listxattr(root / "program") == []
    os.setxattr(root / "program", name, b"x")
    kernel.set(entry.node, Set.MODE, mode=0o711)
    assert os.listxattr(root / "program") == [name]
    kernel.set(entry.node, Set.UID, uid=0)
    assert os.listxattr(root / "program") == []


@only_root
def test_a_file_system_with_one_owner_for_all(kernel, root, monkeypatch):
    monkeypatch.setattr(kernel.share.owners, "_user", 12345)
    assert kernel.create("file")[0].seen.owner == (65534, 65534)
    kernel.uid = 5
    assert kernel.refuses(Op.CREATE, bytes(16) + b"other\0") == errno.EPERM
    assert [path.name for path in root.iterdir()] == ["file"]


@only_root
def test_root_owns_nothing_that_was_put_in_the_place_of_what_it_made(
    host_kernel, root, monkeypatch
):
    """Somebody of the host is faster, and has a file of another user there."""
    (root.parent / "precious").touch()
    os.chown(root.parent / "precious", 4321, 4321)
    make = os.mknod

    def swapped(name, mode, dir_fd):
        make(name, mode, dir_fd=dir_fd)
        (root / "fifo").unlink()
        (root.parent / "precious").rename(root / "fifo")

    monkeypatch.setattr(os, "mknod", swapped)
    body = wire.MKNOD_IN.pack(stat.S_IFIFO | 0o666, 0, 0, 0) + b"fifo\0"
    host_kernel.uid = 999
    assert host_kernel.refuses(Op.MKNOD, body) == errno.EEXIST
    assert (root / "fifo").stat().st_uid == 4321


def test_a_record_that_is_none(kernel, root):
    (root / "file").touch()
    for text in (b"root", b"", b"0:0:40755", b"1:1:60666"):
        os.setxattr(root / "file", "user.sampan.owner", text)
        entry = kernel.look_up("file")
        assert entry.seen.owner == (0, 0)
        assert stat.S_ISREG(entry.seen.mode)


def test_a_file_system_without_attributes(kernel, root, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOTSUP, "not here")

    for name in ("setxattr", "getxattr", "removexattr"):
        monkeypatch.setattr(os, name, refuse)
    entry, _ = kernel.create("file", 0o640)
    assert kernel.set(entry.node, Set.MODE, mode=0o444).bits == 0o444
    body = wire.SETATTR_IN.pack(Set.UID, *[0] * 12, 5, 0, 0)
    assert kernel.refuses(Op.SETATTR, body, entry.node) == errno.EPERM
    body = wire.SETATTR_IN.pack(Set.MODE, *[0] * 10, 0o4755, *[0] * 4)
    assert kernel.refuses(Op.SETATTR, body, entry.node) == errno.EPERM
    kernel.uid = 9
    assert kernel.refuses(Op.CREATE, bytes(16) + b"new\0") == errno.EPERM
    assert not (root / "new").exists()


def test_names_of_attributes():
    host, recorded = HostOwners(), RecordedOwners()
    assert host.on_host(b"security.capability") == b"security.capability"
    assert host.on_host(b"system.posix_acl_access") is None
    assert host.in_guest(b"user.sampan.owner") is None
    assert host.in_guest(b"trusted.x") is None
    assert host.on_host(b"trusted.x") == b"user.sampan.of.trusted.x"
    assert recorded.on_host(b"trusted.x") == b"user.sampan.of.trusted.x"
    assert recorded.in_guest(b"user.sampan.of.trusted.x") == b"trusted.x"
    assert recorded.in_guest(b"security.selinux") is None
