"""Open folders."""

import errno
import os
import stat

import pytest

from sampan.vhost.core.fuse import wire
from sampan.vhost.core.fuse.wire import Op


def open_folder(kernel, node=1):
    return wire.OPEN_OUT.unpack(kernel.ask(Op.OPENDIR, bytes(8), node))[0]


def listed(kernel, handle, *, plus=False, size=4096, offset=0):
    """All entries: name, inode, type, and with `plus` the node."""
    found = []
    while body := kernel.ask(
        Op.READDIRPLUS if plus else Op.READDIR,
        wire.READ_IN.pack(handle, offset, size, 0, 0, 0, 0),
    ):
        assert len(body) <= size
        at = 0
        while at < len(body):
            node = wire.ENTRY_OUT.unpack_from(body, at)[0] if plus else 0
            at += wire.ENTRY_OUT.size + wire.ATTRIBUTES.size if plus else 0
            inode, offset, length, kind = wire.DIRENT.unpack_from(body, at)
            name = body[at + wire.DIRENT.size :][:length].decode()
            found.append((name, inode, kind, node))
            at += wire.DIRENT.size + length + 7 & ~7
    return found


@pytest.mark.parametrize("plus", [True, False])
@pytest.mark.parametrize("size", [200, 512, 4096, (1 << 32) - 1])
def test_all_are_listed(kernel, root, plus, size):
    names = [f"{'x' * (number % 20)}{number}" for number in range(200)]
    for name in names:
        (root / name).touch()
    found = listed(kernel, open_folder(kernel), plus=plus, size=size)
    assert sorted(name for name, *_ in found) == sorted([*names, ".", ".."])
    assert all(kind == stat.S_IFREG >> 12 for name, _, kind, _ in found if name[0] != ".")
    if plus:
        nodes = {name: node for name, _, _, node in found}
        assert nodes["."] == nodes[".."] == 0
        assert kernel.look_up(names[0]).node == nodes[names[0]]


def test_a_large_folder_is_read_in_parts(kernel, root):
    for number in range(2000):
        (root / f"a rather long name, so that it takes room {number}").touch()
    handle = open_folder(kernel)
    assert len(listed(kernel, handle, size=32768)) == 2002
    assert len(listed(kernel, handle, size=32768)) == 2002  # again, from the beginning


def test_not_all_folders_are_kept_in_memory(kernel, root):
    for number in range(100):
        (root / str(number)).touch()
    handles = [open_folder(kernel) for _ in range(70)]
    found: dict[int, set[bytes]] = {handle: set() for handle in handles}
    places = dict.fromkeys(handles, 0)
    while places:
        for handle, offset in list(places.items()):
            question = wire.READ_IN.pack(handle, offset, 400, 0, 0, 0, 0)
            body, at = kernel.ask(Op.READDIR, question), 0
            if not body:
                del places[handle]
            while at < len(body):
                _, places[handle], length, _ = wire.DIRENT.unpack_from(body, at)
                found[handle].add(body[at + wire.DIRENT.size :][:length])
                at += wire.DIRENT.size + length + 7 & ~7
        kept = [handle for handle in kernel.share.handles if handle.entries]
        assert len(kept) <= 64
        if len(handles) > 60:  # one that may be kept is closed
            closed = handles.pop(0)
            kernel.release(closed)
            places.pop(closed, None)
    assert all(len(found[handle]) == 102 for handle in handles)


def test_only_what_was_told_is_known(kernel, root, open_fds):
    for number in range(50):
        (root / str(number)).touch()
    handle, before = open_folder(kernel), open_fds()
    body = kernel.ask(Op.READDIRPLUS, wire.READ_IN.pack(handle, 0, 1000, 0, 0, 0, 0))
    count = sum(1 for at in range(0, len(body), 160) if wire.ENTRY_OUT.unpack_from(body, at)[0])
    assert open_fds() == before + count


def test_no_room_for_one_entry(kernel):
    handle = open_folder(kernel)
    body = wire.READ_IN.pack(handle, 0, 20, 0, 0, 0, 0)
    assert kernel.refuses(Op.READDIR, body) == errno.EINVAL


@pytest.mark.parametrize("offset", [(1 << 63) - 1, 1 << 63, (1 << 64) - 1, 12345])
def test_places_that_are_none(kernel, root, offset):
    (root / "file").touch()
    handle = open_folder(kernel)
    body = wire.READ_IN.pack(handle, offset, 4096, 0, 0, 0, 0)
    answer = kernel.raw(Op.READDIR, body)
    assert wire.OUT_HEADER.unpack_from(answer)[1] in (0, -errno.EINVAL)


@pytest.mark.parametrize("plus", [True, False])
def test_types_are_those_of_the_guest(kernel, root, plus):
    kernel.make_node("fifo", stat.S_IFIFO | 0o600)
    kernel.create("owned", 0o400)
    (root / "empty").touch()
    (root / "full").write_text("x")
    (root / "link").symlink_to("fifo")
    found = {name: kind for name, _, kind, _ in listed(kernel, open_folder(kernel), plus=plus)}
    assert found.pop("fifo") == stat.S_IFIFO >> 12
    assert found.pop("link") == stat.S_IFLNK >> 12
    assert {found[name] for name in ("empty", "full", "owned")} == {stat.S_IFREG >> 12}


def test_above_the_root_is_the_root(kernel, root):
    found = {name: inode for name, inode, _, _ in listed(kernel, open_folder(kernel))}
    assert found[".."] == found["."] == root.stat().st_ino


def test_what_is_gone_is_listed_without_a_node(kernel, root, monkeypatch):
    (root / "file").touch()

    def gone(*_):
        raise FileNotFoundError(errno.ENOENT, "gone")

    monkeypatch.setattr(type(kernel.share.nodes), "look_up", gone)
    found = {name: node for name, _, _, node in listed(kernel, open_folder(kernel), plus=True)}
    assert found["file"] == 0


def test_syncing(kernel):
    handle = open_folder(kernel)
    assert kernel.ask(Op.FSYNCDIR, wire.FSYNC_IN.pack(handle, 0, 0)) == b""
    kernel.ask(Op.RELEASEDIR, wire.RELEASE_IN.pack(handle, 0, 0, 0))
    assert kernel.refuses(Op.FSYNCDIR, wire.FSYNC_IN.pack(handle, 0, 0)) == errno.EBADF


def test_names_that_are_no_text(kernel, root):
    (root / os.fsdecode(b"\xff\xfe")).touch()
    body = kernel.ask(Op.READDIR, wire.READ_IN.pack(open_folder(kernel), 0, 4096, 0, 0, 0, 0))
    assert b"\xff\xfe" in body
