"""Requests that are none, and what holds for all of them."""

import errno
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sampan.vhost.core.error import RemoteProtocolError
from sampan.vhost.core.fuse import wire
from sampan.vhost.core.fuse.wire import Feature, Op

CHANGES = [Op.SETATTR, Op.SYMLINK, Op.MKNOD, Op.MKDIR, Op.UNLINK, Op.RMDIR, Op.RENAME, Op.LINK,
           Op.CREATE, Op.TMPFILE, Op.SETXATTR, Op.REMOVEXATTR, Op.RENAME2]  # fmt: skip


def test_init_agrees_on_what_both_can_do(kernel):
    major, minor, readahead, flags, _, _, max_write, granularity, pages, _, _ = (
        wire.INIT_OUT.unpack(kernel.init())
    )
    assert (major, minor, readahead, granularity) == (7, 38, 131072, 1)
    assert (max_write, pages) == (1 << 20, 256)
    assert flags & Feature.MAX_PAGES
    assert not flags & 1 << 20  # POSIX ACLs
    assert wire.INIT_OUT.unpack(kernel.init(flags=0))[3] == 0


def test_init_of_other_versions(kernel):
    assert wire.INIT_OUT.unpack(kernel.init(major=8))[:2] == (7, 38)
    body = wire.INIT_IN.pack(7, 12, 0, 0)
    assert kernel.refuses(Op.INIT, body) == errno.EPROTO


def test_a_guest_that_starts_anew_knows_nothing(kernel, root, open_fds):
    (root / "file").write_text("x")
    before = open_fds()
    handle, _ = kernel.open(kernel.look_up("file").node)
    kernel.init()
    assert open_fds() == before
    assert kernel.refuses(Op.READ, wire.READ_IN.pack(handle, 0, 10, 0, 0, 0, 0)) == errno.EBADF
    kernel.look_up("file")
    kernel.ask(Op.DESTROY)
    assert open_fds() == before


def test_what_is_not_known(kernel):
    assert kernel.refuses(31) == errno.ENOSYS
    assert kernel.refuses(0xFFFFFFFF) == errno.ENOSYS
    assert kernel.ask(Op.ACCESS, bytes(8)) == b""
    assert kernel.raw(Op.INTERRUPT, bytes(8)) == b""


@pytest.mark.parametrize("length", [0, 39, 41, 1 << 31])
def test_lengths_that_cannot_be(kernel, length):
    with pytest.raises(RemoteProtocolError):
        kernel.raw(Op.GETATTR, length=length)


def test_no_room_for_an_answer(kernel):
    with pytest.raises(RemoteProtocolError, match="room for"):
        kernel.raw(Op.GETATTR, bytes(16), room=15)


def test_a_fault_of_ours_costs_one_request(kernel, monkeypatch, caplog):
    def fail(_):
        raise ZeroDivisionError

    monkeypatch.setitem(kernel.server._handlers, Op.GETATTR, fail)
    for _ in range(20):
        assert kernel.refuses(Op.GETATTR) == errno.EIO
    assert len(caplog.records) == 10
    assert kernel.refuses(Op.LOOKUP, b"none\0") == errno.ENOENT


@pytest.mark.parametrize("op", CHANGES)
def test_read_only_is_read_only(new_kernel, root, op):
    (root / "file").write_text("data")
    kernel = new_kernel(read_only=True)
    node = kernel.look_up("file").node
    before = sorted(root.iterdir())
    texts = b"file\0other\0"
    bodies = {
        Op.SETATTR: wire.SETATTR_IN.pack(wire.Set.SIZE, *[0] * 15), Op.MKNOD: bytes(16) + texts,
        Op.SYMLINK: texts, Op.LINK: wire.NODE.pack(node) + texts, Op.UNLINK: texts, Op.RMDIR: texts,
        Op.MKDIR: bytes(8) + b"new\0", Op.RENAME: wire.NODE.pack(1) + texts,
        Op.RENAME2: wire.RENAME2_IN.pack(1, 0, 0) + texts, Op.CREATE: bytes(16) + b"new\0",
        Op.TMPFILE: bytes(16) + b"\0", Op.REMOVEXATTR: b"user.x\0",
        Op.SETXATTR: wire.SETXATTR_IN.pack(1, 0) + b"user.x\0v",
    }  # fmt: skip
    of_folder = op not in (Op.SETATTR, Op.SETXATTR, Op.REMOVEXATTR)
    assert kernel.refuses(op, bodies[op], 1 if of_folder else node) == errno.EROFS
    assert sorted(root.iterdir()) == before
    assert (root / "file").read_text() == "data"


@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC])
def test_read_only_files_are_not_opened_for_writing(new_kernel, root, flags):
    (root / "file").write_text("data")
    kernel = new_kernel(read_only=True)
    node = kernel.look_up("file").node
    assert kernel.refuses(Op.OPEN, wire.OPEN_IN.pack(flags, 0), node) == errno.EROFS
    handle, _ = kernel.open(node)
    assert kernel.read(handle) == b"data"
    with pytest.raises(Exception, match="EBADF"):
        kernel.write(handle, b"x")
    assert (root / "file").read_text() == "data"


@settings(
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.sampled_from([*Op, 0, 31, 99]), st.binary(max_size=130), st.integers(0, 4))
def test_any_request_is_answered(kernel, root, op, body, node):
    (root / "file").touch()
    try:
        answer = kernel.raw(op, body, node)
    except RemoteProtocolError:
        return
    if answer:
        length, error, _ = wire.OUT_HEADER.unpack_from(answer)
        assert length == len(answer)
        assert -200 < error <= 0
