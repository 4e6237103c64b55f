"""A teller's requests, one by one. tests/compat has the kernel that makes them."""

import errno
import os
import stat

import pytest

from sampan.vhost.core.fuse import wire
from sampan.vhost.core.fuse.control import EXPIRY_S, Deed, Item
from sampan.vhost.core.fuse.request import Request
from sampan.vhost.core.fuse.wire import Op, Opened, Set
from sampan.vhost.runtime.fuse.server import Server
from sampan.vhost.runtime.fuse.teller import Teller

TOKEN = b".token"
TELLER, OTHER = 77, 78


class Told:
    """A guest with a teller; `now` is the time."""

    def __init__(self, kernel):
        self.now = 0.0
        self.done: list[Request] = []
        self.teller = Teller(kernel.share, lambda: self.now)
        kernel.server = Server(kernel.share, teller=self.teller, done=self.done.append)
        self.kernel = kernel
        self.teller.expect(TOKEN)
        kernel.pid = TELLER
        self.handle, _ = kernel.open(kernel.look_up(TOKEN.decode()).node)

    def stage(self, *lines):
        items = []
        for line in lines:
            did, path, *to = (tuple(word.encode().split(b"/")) for word in line.split())
            items.append(Item(Deed(did[0].decode()), path, to[0] if to else ()))
        return self.teller.stage(items)

    def refuses(self, op, body=b"", node=1):
        return self.kernel.refuses(op, body, node)


@pytest.fixture
def told(kernel):
    return Told(kernel)


def test_whoever_has_the_token_open_is_the_teller(told, kernel, root):
    assert told.refuses(Op.MKDIR, bytes(8) + b"new\0") == errno.ECANCELED
    kernel.pid = OTHER
    kernel.make_folder("new")
    kernel.pid = TELLER
    kernel.release(told.handle + 1000)
    assert told.refuses(Op.RMDIR, b"new\0") == errno.ECANCELED
    kernel.release(told.handle)
    kernel.ask(Op.RMDIR, b"new\0")
    assert list(root.iterdir()) == []


def test_the_last_that_opened_it_is(told, kernel):
    kernel.pid = OTHER
    node = kernel.look_up(".token")
    assert node.seen.bits == 0o700
    assert node.seconds == 0
    kernel.open(node.node)
    kernel.release(told.handle)
    assert told.refuses(Op.RMDIR, b"new\0") == errno.ECANCELED


def test_a_guest_that_starts_anew_has_none(told, kernel):
    kernel.init()
    kernel.make_folder("new")


def test_another_name_is_no_token(told, kernel):
    told.teller.expect(b".other")
    assert told.refuses(Op.LOOKUP, b".token\0") == errno.ENOENT


def test_what_is_made(told, kernel, root):
    for name in ("file", "node"):
        (root / name).write_text("content")
    (root / "folder").mkdir()
    (root / "link").symlink_to("file")
    assert told.stage("create file", "create node", "mkdir folder", "symlink link") == 0
    for name in ("file", "node", "folder", "link"):
        assert told.refuses(Op.LOOKUP, f"{name}\0".encode()) == errno.ENOENT
    entry, handle = kernel.create("file")
    assert entry.seen.size == 7
    assert kernel.write(handle, b"more") == 4
    assert kernel.read(handle) == b""
    assert kernel.make_node("node", stat.S_IFREG | 0o600).seen.size == 7
    assert kernel.make_folder("folder").seen.ino == (root / "folder").stat().st_ino
    assert stat.S_ISLNK(kernel.symlink("link", "any").seen.mode)
    assert kernel.look_up("file").node == entry.node
    assert (root / "file").read_text() == "content"
    assert told.stage() == 0
    assert {request.op for request in told.done} <= {Op.LOOKUP, Op.OPEN}


def test_what_is_made_and_gone_or_another_by_now(told, kernel, root):
    (root / "file").mkdir()
    told.stage("create file", "mkdir folder", "create folder/below")
    entry, _ = kernel.create("file")
    assert stat.S_ISREG(entry.seen.mode)
    folder = kernel.make_folder("folder")
    assert kernel.attributes(folder.node).mode == stat.S_IFDIR | 0o700
    kernel.create("below", node=folder.node)
    assert told.refuses(Op.LOOKUP, b"x\0", folder.node) == errno.ENOENT
    assert told.refuses(Op.OPENDIR, bytes(8), folder.node) == errno.ENOENT


@pytest.mark.parametrize("is_known", [True, False])
def test_what_is_removed(told, kernel, root, is_known):
    (root / "file").write_text("old")
    (root / "folder").mkdir()
    nodes = [kernel.look_up(name).node for name in ("file", "folder")] if is_known else []
    (root / "file").unlink()
    (root / "folder").rmdir()
    (root / "file").mkdir()  # something else by now
    told.stage("delete file", "rmdir folder")
    file, folder = kernel.look_up("file"), kernel.look_up("folder")
    assert stat.S_ISREG(file.seen.mode)
    assert stat.S_ISDIR(folder.seen.mode)
    if is_known:
        assert [file.node, folder.node] == nodes
    kernel.ask(Op.UNLINK, b"file\0")
    kernel.ask(Op.RMDIR, b"folder\0")
    assert (root / "file").is_dir()
    assert told.refuses(Op.LOOKUP, b"folder\0") == errno.ENOENT


def test_a_folder_that_is_gone_is_seen_while_something_is_below(told, kernel, root):
    told.stage("delete a/b/c")
    folder = kernel.look_up("a/b")
    assert stat.S_ISDIR(folder.seen.mode)
    again = kernel.look_up("a/b")
    assert again.node == folder.node
    kernel.ask(Op.UNLINK, b"c\0", folder.node)


@pytest.mark.parametrize("op", [Op.RENAME, Op.RENAME2])
def test_what_is_renamed(told, kernel, root, op):
    (root / "below").mkdir()
    (root / "below" / "new").write_text("content")
    told.stage("rename old below/new")
    below = kernel.look_up("below").node
    entry = kernel.look_up("old")
    assert entry.seen.size == 7
    assert told.refuses(Op.LOOKUP, b"new\0", below) == errno.ENOENT
    kernel.rename("old", "new", to=below, flags=None if op == Op.RENAME else 0)
    assert kernel.look_up("new", below).node == entry.node
    assert told.refuses(Op.LOOKUP, b"old\0") == errno.ENOENT
    nodes = kernel.share.nodes
    assert nodes.names(nodes.get(entry.node)) == (b"below", b"new")


def test_what_was_replaced_is_seen_until_it_is(told, kernel, root):
    (root / "file").write_text("old")
    old = kernel.look_up("file").node
    (root / "new").write_text("newer")
    (root / "new").rename(root / "file")
    told.stage("rename new file")
    moved = kernel.look_up("new").node
    assert kernel.look_up("file").node == old
    kernel.rename("new", "file")
    assert kernel.look_up("file").node == moved


def test_what_is_changed(told, kernel, root):
    (root / "file").write_text("content")
    node = kernel.look_up("file").node
    told.stage("modify file", "modify file", "attrib file")
    handle, opened = kernel.open(node, os.O_WRONLY)
    assert opened == Opened.DIRECT_IO
    assert kernel.write(handle, b"x") == 1
    assert kernel.set(node, Set.SIZE | Set.HANDLE, handle=handle).size == 7
    assert kernel.set(node, Set.SIZE, size=0).size == 7
    mtime = (root / "file").stat().st_mtime_ns
    assert kernel.set(node, Set.MTIME | Set.MODE, mtime=5, mode=0).bits == 0o666
    assert (root / "file").stat().st_mtime_ns == mtime
    body = wire.OPEN_IN.pack(os.O_WRONLY, 0)
    assert told.refuses(Op.OPEN, body, node) == errno.ECANCELED
    reading, _ = kernel.open(node)
    assert kernel.read(reading) == b"content"


@pytest.mark.parametrize(
    ("op", "body"),
    [(Op.SETATTR, wire.SETATTR_IN.pack(Set.MODE, *[0] * 15)), (Op.UNLINK, b"file\0"),
     (Op.SETXATTR, wire.SETXATTR_IN.pack(1, 0) + b"user.x\0v"), (Op.REMOVEXATTR, b"user.x\0"),
     (Op.LINK, wire.NODE.pack(1) + b"x\0"), (Op.TMPFILE, bytes(16) + b"\0"), (Op.FALLOCATE, b""),
     (Op.COPY_FILE_RANGE, b""), (Op.RENAME, wire.NODE.pack(1) + b"file\0x\0"),
     (Op.CREATE, bytes(16) + b"file\0"), (Op.MKNOD, bytes(16) + b"x\0"), (Op.SYMLINK, b"x\0y\0")],
)  # fmt: skip
def test_all_else_that_would_change_something_is_refused(told, kernel, root, op, body):
    (root / "file").write_text("content")
    told.stage("delete other")
    assert told.refuses(op, body) == errno.ECANCELED
    assert [path.name for path in root.iterdir()] == ["file"]


def test_files_that_it_had_open_before(kernel, root):
    (root / "file").write_text("content")
    kernel.pid = TELLER
    handle, _ = kernel.open(kernel.look_up("file").node, os.O_RDWR)
    told = Told(kernel)
    body = wire.WRITE_IN.pack(handle, 0, 1, 0, 0, 0, 0) + b"x"
    assert told.refuses(Op.WRITE, body) == errno.ECANCELED
    assert kernel.read(handle) == b"content"


def test_a_pretence_expires(told, kernel):
    told.stage("create file")
    told.now = EXPIRY_S
    assert told.refuses(Op.CREATE, bytes(16) + b"file\0") == errno.ECANCELED


def test_read_only_shares_have_tellers(new_kernel, root):
    (root / "file").write_text("content")
    told = Told(new_kernel(read_only=True))
    told.stage("create file")
    told.kernel.create("file")
    told.kernel.pid = OTHER
    assert told.refuses(Op.UNLINK, b"file\0") == errno.EROFS


def test_descriptors_are_given_back(told, kernel, root, open_fds):
    (root / "a").mkdir()
    (root / "a" / "file").touch()
    before = open_fds()
    told.stage("rename b/old a/file", "create a/file")
    nodes = [kernel.look_up("a").node, kernel.look_up("b").node]
    kernel.look_up("old", nodes[1])
    kernel.rename("old", "file", node=nodes[1], to=nodes[0])
    _, handle = kernel.create("file", node=nodes[0])
    kernel.release(handle)
    kernel.init()
    assert open_fds() == before
