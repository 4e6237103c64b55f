import os

import pytest

from sampan.vhost.core.fuse import wire
from sampan.vhost.core.fuse.control import Deed, Item
from sampan.vhost.core.fuse.wire import Op
from sampan.vhost.runtime.fuse import doing
from sampan.vhost.runtime.fuse.doing import Doings
from sampan.vhost.runtime.fuse.server import Server


def item(did, path, to=""):
    names, new = (tuple(each.encode().split(b"/")) if each else () for each in (path, to))
    return Item(Deed(did), names, new)


@pytest.fixture
def doings(kernel):
    """What the guest of `kernel` does is remembered here."""
    found = Doings(kernel.share.nodes)
    kernel.server = Server(kernel.share, lambda: 1 << 62, done=found.done)
    return found


@pytest.fixture
def own(doings):
    def ask(did, path, to=""):
        return doings.is_own(item(did, path, to))

    return ask


def test_what_the_guest_makes(kernel, own):
    kernel.create("file")
    kernel.make_folder("folder")
    kernel.symlink("link", "file")
    kernel.make_node("node", 0o100644)
    assert own("create", "file")
    assert own("mkdir", "folder")
    assert own("symlink", "link")
    assert own("create", "node")


def test_what_the_host_makes(kernel, own, root):
    (root / "file").touch()
    assert not own("create", "file")
    kernel.look_up("file")
    assert not own("create", "file")


def test_a_file_that_both_change(kernel, own, root):
    entry, handle = kernel.create("file")
    body = wire.WRITE_IN.pack(handle, 0, 1, 0, 0, 0, 0) + b"x"
    kernel.ask(Op.WRITE, body, entry.node)
    assert own("modify", "file")
    os.utime(root / "file", ns=(0, 0))
    _await_tick(root / "file")
    assert not own("modify", "file")
    kernel.set(entry.node, wire.Set.MODE, mode=0o600)
    assert own("attrib", "file")
    kernel.open(entry.node, os.O_WRONLY | os.O_TRUNC)
    assert own("modify", "file")


def _await_tick(path):
    """Change a file until the clock of files has gone on."""
    before = path.stat().st_ctime_ns
    while path.stat().st_ctime_ns == before:
        os.utime(path, ns=(0, 0))


def test_reading_is_no_change(kernel, own, root):
    (root / "file").write_text("text")
    entry = kernel.look_up("file")
    handle, _ = kernel.open(entry.node)
    kernel.read(handle)
    kernel.release(handle)
    assert not own("modify", "file")


def test_what_the_guest_removes_it_has_removed_once(kernel, own, root):
    (root / "folder").mkdir()
    for name in ("file", "folder/file"):
        (root / name).touch()
    folder = kernel.look_up("folder").node
    kernel.ask(Op.UNLINK, b"file\0")
    kernel.ask(Op.UNLINK, b"file\0", folder)
    assert own("delete", "folder/file")
    kernel.ask(Op.RMDIR, b"folder\0")
    assert own("delete", "file")
    assert own("rmdir", "folder")
    for name in ("file", "folder"):
        assert not own("delete", name)
    assert not own("delete", "none/file")


def test_a_name_that_comes_again_was_not_removed_for_good(kernel, own, root):
    for again in (lambda: kernel.create("file"), lambda: own("create", "file")):
        (root / "file").touch()
        kernel.ask(Op.UNLINK, b"file\0")
        again()
        (root / "file").unlink(missing_ok=True)
        assert not own("delete", "file")


def test_what_the_guest_renames(kernel, own, root):
    for name in ("a", "b", "c"):
        (root / name).touch()
        kernel.look_up(name)
    kernel.rename("a", "d")
    kernel.rename("b", "c", flags=0)
    assert own("rename", "a", "d")
    assert own("rename", "b", "c")
    (root / "d").rename(root / "e")
    _await_tick(root / "e")
    assert not own("rename", "d", "e")
    assert not own("rename", "x", "y")


def test_what_is_gone_needs_no_telling(own):
    assert own("modify", "none")
    assert own("create", "none")


def test_the_folder_itself(own, root):
    assert not own("attrib", "")


def test_a_copy_and_a_link(kernel, own, root):
    (root / "file").write_text("text")
    source = kernel.look_up("file")
    body = wire.NODE.pack(source.node) + b"link\0"
    kernel.ask(Op.LINK, body)
    assert own("create", "link")
    target, handle = kernel.create("copy")
    reading, _ = kernel.open(source.node)
    kernel.ask(Op.COPY_FILE_RANGE, wire.COPY_IN.pack(reading, 0, target.node, handle, 0, 4, 0))
    assert own("modify", "copy")


def test_nonsense_of_the_guest_is_not_remembered(kernel, own):
    _, handle = kernel.create("file")
    body = wire.WRITE_IN.pack(handle, 0, 1, 0, 0, 0, 0) + b"x"
    assert kernel.ask(Op.WRITE, body, node=12345)
    assert own("create", "file") is False


def test_what_is_remembered_is_bounded(kernel, own, root, monkeypatch):
    monkeypatch.setattr(doing, "REMEMBERED", 2)
    for name in ("a", "b", "c"):
        kernel.create(name)
        (root / f"{name}2").touch()
    assert [own("create", name) for name in "abc"] == [False, True, True]
    for name in ("a", "b", "c"):
        kernel.ask(Op.UNLINK, f"{name}2".encode() + b"\0")
    assert [own("delete", f"{name}2") for name in "abc"] == [False, True, True]
