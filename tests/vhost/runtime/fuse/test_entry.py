"""Names: what is found, made, removed and renamed, and what is not."""

import errno
import os
import stat
from pathlib import Path

import pytest

from sampan.vhost.core.fuse import wire
from sampan.vhost.core.fuse.wire import Op


def test_a_file_is_found(kernel, root):
    (root / "folder").mkdir()
    (root / "folder" / "file").write_text("hello")
    entry = kernel.look_up("folder/file")
    assert entry.seconds == 1
    assert (entry.seen.size, stat.S_ISREG(entry.seen.mode)) == (5, True)
    assert entry.seen.ino == (root / "folder" / "file").stat().st_ino
    assert kernel.refuses(Op.LOOKUP, b"none\0") == errno.ENOENT
    assert kernel.refuses(Op.LOOKUP, b"x\0", entry.node) == errno.ENOTDIR


def test_names_of_one_file_are_one_node(kernel, root):
    (root / "one").touch()
    os.link(root / "one", root / "two")
    node = kernel.look_up("one").node
    assert kernel.look_up("two").node == node
    kernel.forget(node)
    kernel.attributes(node)
    kernel.forget(node)
    assert kernel.refuses(Op.GETATTR, bytes(16), node) == errno.ESTALE
    assert kernel.look_up("one").node != node  # a number is never used again


def test_forgetting_gives_descriptors_back(kernel, root, open_fds):
    for number in range(20):
        (root / str(number)).touch()
    before = open_fds()
    nodes = [kernel.look_up(str(number)).node for number in range(20)]
    assert open_fds() == before + 20
    body = wire.SIZE.pack(20, 0) + b"".join(wire.FORGET_ONE.pack(node, 1) for node in nodes)
    assert kernel.raw(Op.BATCH_FORGET, body, room=None) == b""
    assert open_fds() == before


def test_forgetting_what_was_never_told(kernel, root):
    (root / "file").touch()
    node = kernel.look_up("file").node
    kernel.forget(99)
    kernel.forget(1, 1000)
    kernel.attributes(1)
    kernel.forget(node, (1 << 64) - 1)
    kernel.forget(node)
    assert kernel.refuses(Op.GETATTR, bytes(16), node) == errno.ESTALE
    kernel.raw(Op.BATCH_FORGET, wire.SIZE.pack(1 << 31, 0) + b"short", room=None)
    kernel.raw(Op.FORGET, b"", room=None)


@pytest.mark.parametrize("name", [b"..", b".", b"", b"a/b", b"../x", b"/etc/passwd"])
@pytest.mark.parametrize("op", [Op.LOOKUP, Op.UNLINK, Op.RMDIR])
def test_names_that_are_none(kernel, op, name):
    assert kernel.refuses(op, name + b"\0") == errno.EINVAL


@pytest.mark.parametrize("name", ["..", ".", "a/b"])
def test_nothing_is_made_under_names_that_are_none(kernel, root, name):
    text = name.encode() + b"\0"
    before = sorted(root.parent.iterdir())
    for op, body in [
        (Op.MKDIR, bytes(8) + text), (Op.MKNOD, wire.MKNOD_IN.pack(0o100644, 0, 0, 0) + text),
        (Op.SYMLINK, text + b"target\0"), (Op.CREATE, bytes(16) + text),
        (Op.LINK, wire.NODE.pack(1) + text), (Op.RENAME, wire.NODE.pack(1) + text + b"x\0"),
        (Op.RENAME, wire.NODE.pack(1) + b"x\0" + text),
    ]:  # fmt: skip
        assert kernel.refuses(op, body) == errno.EINVAL
    assert sorted(root.parent.iterdir()) == before
    assert list(root.iterdir()) == []


def test_long_names(kernel):
    assert kernel.refuses(Op.LOOKUP, b"x" * 256 + b"\0") == errno.ENAMETOOLONG
    assert kernel.refuses(Op.LOOKUP, b"x" * 255 + b"\0") == errno.ENOENT
    assert kernel.refuses(Op.LOOKUP, b"not ended") == errno.EINVAL


def test_a_link_is_not_followed(kernel, root):
    (root.parent / "secret").write_text("SECRET")
    (root / "out").symlink_to("../secret")
    (root / "up").symlink_to("..")
    entry = kernel.look_up("out")
    assert stat.S_ISLNK(entry.seen.mode)
    assert kernel.ask(Op.READLINK, node=entry.node) == b"../secret"
    assert kernel.refuses(Op.OPEN, bytes(8), entry.node) == errno.ENXIO
    assert kernel.refuses(Op.LOOKUP, b"secret\0", kernel.look_up("up").node) == errno.ENOTDIR
    assert kernel.refuses(Op.OPENDIR, bytes(8), kernel.look_up("up").node) == errno.ENOTDIR
    body = wire.CREATE_IN.pack(os.O_RDWR, 0o644, 0, 0) + b"out\0"
    assert kernel.refuses(Op.CREATE, body) == errno.ESTALE
    assert kernel.refuses(Op.READLINK, node=1) == errno.EINVAL


def test_a_folder_that_becomes_a_link_leads_nowhere_else(kernel, root):
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "file").write_text("SECRET")
    (root / "folder").mkdir()
    (root / "folder" / "file").write_text("inside")
    folder = kernel.look_up("folder").node
    (root / "folder").rename(root / "moved")
    (root / "folder").symlink_to(outside)
    handle, _ = kernel.open(kernel.look_up("file", folder).node)
    assert kernel.read(handle) == b"inside"
    kernel.create("new", node=folder)
    assert [path.name for path in outside.iterdir()] == ["file"]
    assert (root / "moved" / "new").exists()


def test_a_file_is_made_and_open(kernel, root):
    kernel.uid, kernel.gid = 999, 998
    entry, handle = kernel.create("new", 0o640)
    assert kernel.write(handle, b"data") == 4
    assert (root / "new").read_text() == "data"
    assert kernel.attributes(entry.node).owner == (999, 998)
    assert entry.seen.bits == 0o640
    assert (root / "new").stat().st_uid == os.geteuid()


def test_a_file_that_is_there_is_opened_or_not(kernel, root):
    (root / "file").write_text("old")
    entry, handle = kernel.create("file")
    assert kernel.read(handle) == b"old"
    body = wire.CREATE_IN.pack(os.O_RDWR | os.O_EXCL, 0o644, 0, 0) + b"file\0"
    assert kernel.refuses(Op.CREATE, body) == errno.EEXIST
    kernel.forget(entry.node)
    assert kernel.refuses(Op.GETATTR, bytes(16), entry.node) == errno.ESTALE


def test_folders_and_links_are_made(kernel, root):
    folder = kernel.make_folder("folder", 0o750)
    assert stat.S_IMODE((root / "folder").stat().st_mode) == 0o750
    kernel.symlink("link", "some/target", folder.node)
    assert (root / "folder" / "link").readlink() == Path("some/target")
    assert kernel.refuses(Op.MKDIR, bytes(8) + b"folder\0") == errno.EEXIST
    assert kernel.refuses(Op.SYMLINK, b"x\0\0") == errno.ENOENT
    assert kernel.refuses(Op.SYMLINK, b"x\0" + b"y" * 4096 + b"\0") == errno.ENAMETOOLONG


@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFREG])
def test_special_files(kernel, host_kernel, root, kind):
    entry = kernel.make_node("recorded", kind | 0o604)
    assert entry.seen.mode == kind | 0o604
    assert stat.S_ISREG((root / "recorded").stat().st_mode)
    assert host_kernel.make_node("real", kind | 0o604).seen.mode == kind | 0o604
    assert (root / "real").stat().st_mode == kind | 0o604


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK])
def test_devices_are_the_hosts(kernel, host_kernel, root, kind):
    body = wire.MKNOD_IN.pack(kind | 0o666, 0x103, 0, 0) + b"device\0"
    assert host_kernel.refuses(Op.MKNOD, body) == errno.EPERM
    entry = kernel.make_node("device", kind | 0o666, 0x103)
    assert (entry.seen.mode, entry.seen.rdev) == (kind | 0o666, 0x103)
    assert stat.S_ISREG((root / "device").stat().st_mode)


def test_another_name(kernel, root):
    entry, _ = kernel.create("file")
    body = wire.NODE.pack(entry.node) + b"other\0"
    kernel.ask(Op.LINK, body)
    assert (root / "other").samefile(root / "file")
    assert kernel.attributes(entry.node).nlink == 2
    link = kernel.symlink("link", "nowhere")
    kernel.ask(Op.LINK, wire.NODE.pack(link.node) + b"second\0")
    assert (root / "second").readlink() == Path("nowhere")
    assert kernel.refuses(Op.LINK, wire.NODE.pack(77) + b"x\0") == errno.ESTALE


def test_a_file_without_a_name_gets_one(kernel, root):
    entry, handle = kernel.create("", 0o600, op=Op.TMPFILE)
    kernel.write(handle, b"kept")
    assert list(root.iterdir()) == []
    kernel.ask(Op.LINK, wire.NODE.pack(entry.node) + b"named\0")
    assert (root / "named").read_text() == "kept"


def test_removing(kernel, root):
    entry, handle = kernel.create("file")
    kernel.make_folder("folder")
    kernel.ask(Op.UNLINK, b"file\0")
    kernel.ask(Op.RMDIR, b"folder\0")
    assert list(root.iterdir()) == []
    assert kernel.attributes(entry.node).nlink == 0
    kernel.write(handle, b"still open")
    assert kernel.read(handle) == b"still open"
    assert kernel.refuses(Op.UNLINK, b"file\0") == errno.ENOENT


def test_renaming(kernel, root):
    folder = kernel.make_folder("folder").node
    entry, _ = kernel.create("file")
    kernel.rename("file", "moved", to=folder)
    assert [path.name for path in (root / "folder").iterdir()] == ["moved"]
    assert kernel.look_up("moved", folder).node == entry.node
    assert kernel.share.nodes.names(kernel.share.nodes.get(entry.node)) == (b"folder", b"moved")


def test_renaming_without_replacing_and_exchanging(kernel, root):
    (root / "one").write_text("1")
    (root / "two").write_text("2")
    texts = wire.RENAME2_IN.pack(1, 1, 0) + b"one\0two\0"
    assert kernel.refuses(Op.RENAME2, texts) == errno.EEXIST
    one, two = kernel.look_up("one").node, kernel.look_up("two").node
    kernel.rename("one", "two", flags=2)
    assert (root / "one").read_text() == "2"
    nodes = kernel.share.nodes
    assert [nodes.names(nodes.get(node)) for node in (one, two)] == [(b"two",), (b"one",)]
    assert kernel.refuses(Op.RENAME2, wire.RENAME2_IN.pack(1, 4, 0) + b"a\0b\0") == errno.EINVAL


def test_a_guest_knows_only_so_many_files(new_kernel, root, open_fds):
    kernel = new_kernel(limit=64 + 16)
    for number in range(12):
        (root / str(number)).touch()
    before = open_fds()
    nodes = [kernel.look_up(str(number)).node for number in range(11)]
    assert kernel.refuses(Op.LOOKUP, b"11\0") == errno.ENFILE
    assert kernel.refuses(Op.MKDIR, bytes(8) + b"new\0") == errno.ENFILE
    assert open_fds() == before + 11
    kernel.forget(nodes[0])
    kernel.look_up("11")


def test_a_guest_has_only_so_many_files_open(new_kernel, root):
    (root / "file").touch()
    kernel = new_kernel(limit=64 + 16)
    node = kernel.look_up("file").node
    for _ in range(4):
        kernel.open(node)
    assert kernel.refuses(Op.OPEN, bytes(8), node) == errno.ENFILE
    assert kernel.refuses(Op.OPENDIR, bytes(8)) == errno.ENFILE
    assert kernel.refuses(Op.CREATE, bytes(16) + b"new\0") == errno.ENFILE
    assert not (root / "new").exists()


def test_nothing_is_left_of_what_cannot_be_owned(kernel, root, monkeypatch, open_fds):
    def refuse(*_):
        raise OSError(errno.EPERM, "no")

    monkeypatch.setattr(kernel.share.owners, "created", refuse)
    before = open_fds()
    for op, body in [
        (Op.MKDIR, bytes(8) + b"new\0"), (Op.SYMLINK, b"new\0x\0"), (Op.CREATE, bytes(16) + b"new\0"),
        (Op.MKNOD, wire.MKNOD_IN.pack(stat.S_IFREG, 0, 0, 0) + b"new\0"),
        (Op.TMPFILE, wire.CREATE_IN.pack(os.O_RDWR, 0, 0, 0) + b"\0"),
    ]:  # fmt: skip
        assert kernel.refuses(op, body) == errno.EPERM
    assert list(root.iterdir()) == []
    assert open_fds() == before
