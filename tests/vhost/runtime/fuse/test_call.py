"""System calls from the C library."""

import ctypes
import errno
import os
import subprocess
import sys

import pytest

from sampan.vhost.runtime.fuse import call


def test_renaming(tmp_path):
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    folder = os.open(tmp_path, os.O_PATH)
    with pytest.raises(FileExistsError):
        call.rename(folder, b"a", folder, b"b", call.NOREPLACE)
    call.rename(folder, b"a", folder, b"b", call.EXCHANGE)
    assert (tmp_path / "a").read_text() == "b"
    call.rename(folder, b"a", folder, b"b", 0)
    assert (tmp_path / "b").read_text() == "b"
    os.close(folder)


def test_times(tmp_path):
    call.set_times(str(tmp_path), (1, 2), (3, call.UTIME_OMIT))
    before = tmp_path.stat().st_mtime_ns
    assert tmp_path.stat().st_atime_ns == 1_000_000_002
    call.set_times(str(tmp_path), (0, call.UTIME_OMIT), (-5, 0))
    assert tmp_path.stat().st_mtime == -5 != before


def test_allocating(tmp_path):
    with (tmp_path / "file").open("wb") as stream:
        call.allocate(stream.fileno(), 0, 0, 8192)
        with pytest.raises(OSError, match="Invalid") as refused:
            call.allocate(stream.fileno(), 0, 0, 0)
    assert refused.value.errno == errno.EINVAL
    assert (tmp_path / "file").stat().st_size == 8192


def test_folders(tmp_path):
    (tmp_path / "a name").touch()
    folder = os.open(tmp_path, os.O_RDONLY)
    buffer = ctypes.create_string_buffer(4096)
    size = call.read_folder(folder, buffer)
    assert b"a name\0" in buffer.raw[:size]
    assert call.read_folder(folder, buffer) == 0
    call.sync_filesystem(folder)
    os.close(folder)
    with pytest.raises(OSError, match="Bad file") as refused:
        call.read_folder(folder, buffer)
    assert refused.value.errno == errno.EBADF


def test_capabilities():
    code = (
        "from sampan.vhost.runtime.fuse import call\n"
        "call.keep_capabilities(0)\n"
        "print([line for line in open('/proc/self/status') if 'CapPrm' in line][0].split()[1])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip("0\n"), done.stderr) == ("", "")


def test_a_call_that_is_not_there():
    with pytest.raises(OSError, match="no no_such_call") as refused:
        call._function("no_such_call")(1, 2)
    assert refused.value.errno == errno.ENOSYS
