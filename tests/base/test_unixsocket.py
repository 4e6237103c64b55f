import os
import socket
import stat

import pytest

from sampan.base import unixsocket
from sampan.errors import SampanError

KINDS = [socket.SOCK_STREAM, socket.SOCK_DGRAM]


@pytest.fixture
def path(runtime_root):
    return runtime_root / "socket"


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_its_owner_s_only_and_goes_with_him(path, kind):
    bound = unixsocket.bind(path, kind)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not bound.socket.getblocking()
    assert bound.path == path
    bound.close()
    bound.close()
    assert not path.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_dead_process_left_is_replaced(path, kind):
    left = unixsocket.bind(path, kind)
    left.socket.close()
    bound = unixsocket.bind(path, kind)
    assert path.is_socket()
    left.close()
    assert path.is_socket()
    bound.close()


@pytest.mark.parametrize("kind", KINDS)
def test_who_is_there_stays(path, kind):
    bound = unixsocket.bind(path, kind)
    if kind == socket.SOCK_STREAM:
        bound.socket.listen()
    with pytest.raises(SampanError, match="in use by another program"):
        unixsocket.bind(path, kind)
    bound.close()


def test_somebody_of_another_kind_is_somebody_too(path):
    bound = unixsocket.bind(path, socket.SOCK_DGRAM)
    assert unixsocket.is_served(path, socket.SOCK_STREAM)
    bound.close()


def test_a_socket_that_is_another_one_by_now_is_not_removed(path):
    bound = unixsocket.bind(path)
    path.rename(path.with_name("elsewhere"))
    path.write_text("other")
    bound.close()
    assert path.read_text() == "other"


def test_a_file_stays(path):
    path.write_text("mine")
    with pytest.raises(SampanError, match="cannot make a socket") as caught:
        unixsocket.bind(path)
    assert caught.value.hint
    assert path.read_text() == "mine"


def test_no_folder(path):
    with pytest.raises(SampanError, match="No such file"):
        unixsocket.bind(path / "below")


def test_too_long(path):
    name = "s" * (unixsocket.MAX_PATH - len(os.fsencode(path)))
    with pytest.raises(SampanError, match="too long") as caught:
        unixsocket.bind(path.with_name(path.name + name + "s"))
    assert "103 bytes" in caught.value.hint
    unixsocket.bind(path.with_name(path.name + name)).close()
