"""Files as a machine's memory."""

import fcntl
import os

import pytest

from sampan.vhost.core.error import RemoteProtocolError
from sampan.vhost.core.memory import Region
from sampan.vhost.runtime.mapping import map_memory, map_shared


@pytest.fixture
def fd():
    fd = os.memfd_create("memory", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, 3 * 4096)
    yield fd
    os.close(fd)


def test_memory_is_shared(fd):
    regions = Region(0, 4096, 1 << 40, 0), Region(1 << 20, 4096, 1 << 41, 8192)
    memory = map_memory(regions, [fd, fd])
    memory.guest((1 << 20) + 5, 4)[:] = b"here"
    assert os.pread(fd, 4, 8192 + 5) == b"here"
    os.pwrite(fd, b"there", 100)
    assert bytes(memory.user((1 << 40) + 100, 5)) == b"there"


def test_the_descriptor_may_be_closed(fd):
    view = map_shared(os.dup(fd), 4096, 0)
    view[:2] = b"ok"
    assert os.pread(fd, 2, 0) == b"ok"


def test_a_memory_file_can_no_longer_shrink(fd):
    map_shared(fd, 4096, 0)
    assert fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK
    with pytest.raises(PermissionError):
        os.ftruncate(fd, 0)


@pytest.mark.parametrize(("size", "offset"), [(4 * 4096, 0), (4096, 3 * 4096), (1 << 45, 0)])
def test_a_file_that_is_too_short(fd, size, offset):
    with pytest.raises(RemoteProtocolError, match=f"no {size} bytes of memory at {offset}"):
        map_shared(fd, size, offset)


def test_what_is_no_memory(tmp_path):
    reading, writing = os.pipe()
    with pytest.raises(RemoteProtocolError):
        map_shared(reading, 4096, 0)
    os.close(reading)
    os.close(writing)
    path = tmp_path / "file"
    path.write_bytes(bytes(4096))
    with path.open("rb") as file, pytest.raises(RemoteProtocolError, match="cannot be mapped"):
        map_shared(file.fileno(), 4096, 0)
