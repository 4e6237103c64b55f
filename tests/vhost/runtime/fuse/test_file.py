"""Open files."""

import errno
import os
import stat

import pytest

from sampan.vhost.core.fuse import wire
from sampan.vhost.core.fuse.wire import Op, Opened

OLD = 1 << 62  # a clock that is far beyond all times of files


@pytest.fixture
def file(root):
    path = root / "file"
    path.write_bytes(bytes(range(256)) * 16)
    return path


def test_reading(kernel, file):
    handle, _ = kernel.open(kernel.look_up("file").node)
    assert kernel.read(handle, 0, 4096) == file.read_bytes()
    assert kernel.read(handle, 4000, 4096) == file.read_bytes()[4000:]
    assert kernel.read(handle, 9999) == b""
    assert kernel.read(handle, 0, 0) == b""
    assert kernel.read(handle, 0, (1 << 32) - 1) == file.read_bytes()


def test_an_answer_fits_into_its_room(kernel, file):
    handle, _ = kernel.open(kernel.look_up("file").node)
    body = wire.READ_IN.pack(handle, 0, 4096, 0, 0, 0, 0)
    assert kernel.raw(Op.READ, body, room=116)[16:] == file.read_bytes()[:100]
    assert kernel.raw(Op.READ, body, room=16)[16:] == b""


def test_writing(kernel, file):
    handle, _ = kernel.open(kernel.look_up("file").node, os.O_WRONLY)
    assert kernel.write(handle, b"hello", 10) == 5
    assert kernel.write(handle, b"") == 0
    assert file.read_bytes()[8:17] == b"\x08\x09hello\x0f\x10"


def test_less_comes_than_is_said(kernel, file):
    handle, _ = kernel.open(kernel.look_up("file").node, os.O_RDWR)
    body = wire.WRITE_IN.pack(handle, 0, 1 << 31, 0, 0, 0, 0) + b"abc"
    assert wire.WRITE_OUT.unpack(kernel.ask(Op.WRITE, body)) == (3, 0)
    assert file.stat().st_size == 4096


def test_appending_is_up_to_the_host(kernel, file):
    handle, _ = kernel.open(kernel.look_up("file").node, os.O_WRONLY | os.O_APPEND)
    kernel.write(handle, b"end", 0)
    assert file.read_bytes()[4096:] == b"end"


def test_cutting_off(kernel, file):
    kernel.open(kernel.look_up("file").node, os.O_WRONLY | os.O_TRUNC)
    assert file.stat().st_size == 0


def test_what_cannot_be_opened(kernel, root, file):
    node = kernel.look_up("file").node
    assert kernel.refuses(Op.OPEN, wire.OPEN_IN.pack(3, 0), node) == errno.EINVAL
    os.mkfifo(root / "fifo")  # which would wait for somebody who reads
    fifo = kernel.look_up("fifo").node
    assert kernel.refuses(Op.OPEN, wire.OPEN_IN.pack(os.O_WRONLY, 0), fifo) == errno.ENXIO
    assert kernel.refuses(Op.OPEN, bytes(8), 1) == errno.ENXIO


@pytest.mark.parametrize("op", [Op.READ, Op.WRITE, Op.FLUSH, Op.FSYNC, Op.LSEEK, Op.FALLOCATE,
                                Op.COPY_FILE_RANGE, Op.READDIR, Op.READDIRPLUS, Op.FSYNCDIR])  # fmt: skip
@pytest.mark.parametrize("number", [0, 77, (1 << 64) - 1])
def test_forged_handles(kernel, op, number):
    body = wire.NODE.pack(number) + bytes(64)
    if op == Op.LSEEK:
        body = wire.LSEEK_IN.pack(number, 0, os.SEEK_DATA, 0)
    assert kernel.refuses(op, body) == errno.EBADF


def test_a_folder_is_no_file(kernel):
    handle = wire.OPEN_OUT.unpack(kernel.ask(Op.OPENDIR, bytes(8)))[0]
    assert kernel.refuses(Op.READ, wire.READ_IN.pack(handle, 0, 9, 0, 0, 0, 0)) == errno.EBADF


def test_offsets_that_cannot_be(kernel, file):
    handle, _ = kernel.open(kernel.look_up("file").node, os.O_RDWR)
    huge = (1 << 64) - 1
    assert kernel.refuses(Op.READ, wire.READ_IN.pack(handle, huge, 9, 0, 0, 0, 0)) == errno.EINVAL
    body = wire.WRITE_IN.pack(handle, huge, 1, 0, 0, 0, 0) + b"x"
    assert kernel.refuses(Op.WRITE, body) == errno.EINVAL
    body = wire.WRITE_IN.pack(handle, (1 << 63) - 1, 1, 0, 0, 0, 0) + b"x"
    assert kernel.refuses(Op.WRITE, body) in (errno.EFBIG, errno.EINVAL)


def test_closing_gives_the_descriptor_back(kernel, file, open_fds):
    node = kernel.look_up("file").node
    before = open_fds()
    handle, _ = kernel.open(node, os.O_WRONLY)
    kernel.ask(Op.FLUSH, wire.RELEASE_IN.pack(handle, 0, 0, 0))
    kernel.ask(Op.FSYNC, wire.FSYNC_IN.pack(handle, 0, 0))
    kernel.ask(Op.FSYNC, wire.FSYNC_IN.pack(handle, 1, 0))
    kernel.release(handle)
    kernel.release(handle)
    assert open_fds() == before
    kernel.ask(Op.SYNCFS, bytes(8))


def test_the_kernel_keeps_what_has_not_changed(kernel, file):
    node = kernel.look_up("file").node
    first, second = kernel.open(node)[1], kernel.open(node)[1]
    assert not first & Opened.KEEP_CACHE
    assert second == Opened.KEEP_CACHE | Opened.NO_FLUSH
    assert kernel.open(node, os.O_RDWR)[1] == Opened.KEEP_CACHE
    file.write_bytes(b"changed")
    assert not kernel.open(node)[1] & Opened.KEEP_CACHE


def test_what_has_just_changed_may_change_again_unnoticed(new_kernel, file):
    kernel = new_kernel(clock=lambda: file.stat().st_ctime_ns)
    node = kernel.look_up("file").node
    assert not (kernel.open(node)[1] | kernel.open(node)[1]) & Opened.KEEP_CACHE


def test_privileges_end_when_somebody_writes(kernel, host_kernel, file):
    for each in (kernel, host_kernel):
        file.chmod(0o755)
        node = each.look_up("file").node
        each.set(node, wire.Set.MODE, mode=0o6755)
        handle, _ = each.open(node, os.O_WRONLY)
        each.write(handle, b"x")
        may = each is kernel or os.geteuid() == 0  # the host's kernel asks who we are
        assert each.attributes(node).bits == (0o6755 if may else 0o755)
        each.write(handle, b"x", flags=wire.WRITE_KILL_SUIDGID)
        assert each.attributes(node).bits == 0o755
        each.set(node, wire.Set.MODE, mode=0o4755)
        each.open(node, os.O_WRONLY | os.O_TRUNC, wire.OPEN_KILL_SUIDGID)
        assert each.attributes(node).bits == 0o755


def test_holes(kernel, root):
    with (root / "holes").open("wb") as stream:
        stream.seek(1 << 20)
        stream.write(b"x")
    node = kernel.look_up("holes").node
    handle, _ = kernel.open(node, os.O_RDWR)

    def seek(offset, whence):
        body = wire.LSEEK_IN.pack(handle, offset, whence, 0)
        return wire.OFFSET.unpack(kernel.ask(Op.LSEEK, body))[0]

    assert seek(0, os.SEEK_HOLE) == 0
    assert seek(0, os.SEEK_DATA) == 1 << 20
    assert kernel.refuses(Op.LSEEK, wire.LSEEK_IN.pack(handle, 0, 0, 0)) == errno.EINVAL
    kernel.ask(Op.FALLOCATE, wire.FALLOCATE_IN.pack(handle, 0, 4096, 0, 0))
    assert kernel.attributes(node).blocks >= 16
    body = wire.FALLOCATE_IN.pack(handle, 0, 4096, 0x40, 0)
    assert kernel.refuses(Op.FALLOCATE, body) == errno.EOPNOTSUPP


def test_copying(kernel, file, root):
    (root / "other").touch()
    source, _ = kernel.open(kernel.look_up("file").node)
    target, _ = kernel.open(kernel.look_up("other").node, os.O_RDWR)
    body = wire.COPY_IN.pack(source, 10, 0, target, 0, 100, 0)
    assert wire.WRITE_OUT.unpack(kernel.ask(Op.COPY_FILE_RANGE, body)) == (100, 0)
    assert (root / "other").read_bytes() == file.read_bytes()[10:110]
    body = wire.COPY_IN.pack(source, 0, 0, target, 0, (1 << 64) - 1, 0)
    assert wire.WRITE_OUT.unpack(kernel.ask(Op.COPY_FILE_RANGE, body)) == (4096, 0)
    body = wire.COPY_IN.pack(target, 0, 0, source, 0, 10, 0)
    assert kernel.refuses(Op.COPY_FILE_RANGE, body) == errno.EBADF


def test_a_file_that_is_gone_is_still_open(kernel, file):
    node = kernel.look_up("file").node
    file.unlink()
    handle, _ = kernel.open(node)
    assert len(kernel.read(handle)) == 4096
    assert stat.S_ISREG(kernel.attributes(node).mode)
