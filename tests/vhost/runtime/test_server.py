"""A device's socket: who may connect, and when."""

import socket

import pytest

from sampan.errors import SampanError
from sampan.vhost.runtime.net import NetDevice
from sampan.vhost.runtime.server import Server, listen


@pytest.fixture
def path(tmp_path):
    return tmp_path / "s"


@pytest.fixture
def news():
    return []


@pytest.fixture
def server(loop, path, news):
    server = Server(loop, path, NetDevice(loop, lambda frames: None), news.append)
    yield server
    server.close()


@pytest.fixture
def connect(loop, path):
    made = []

    def connect():
        made.append(socket.socket(socket.AF_UNIX))
        made[-1].connect(str(path))
        return made[-1]

    yield connect
    for each in made:
        each.close()


def test_one_front_end_after_the_other(server, connect, loop, news):
    assert not server.is_connected
    first = connect()
    loop.turn()
    assert server.is_connected
    first.close()
    loop.turn()
    assert not server.is_connected
    connect()
    loop.turn()
    assert news == ["", "the front-end closed the connection", ""]


def test_there_is_one_at_a_time(server, connect, loop, news):
    connect()
    loop.turn()
    second = connect()
    loop.turn()
    assert second.recv(1) == b""
    assert news == [""]


def test_one_that_went_as_the_next_came(server, connect, loop, news):
    """Whatever the loop tells first."""
    first = connect()
    loop.turn()
    first.close()
    connect()
    server._accept(1)
    assert server.is_connected
    assert news == ["", "the front-end closed the connection", ""]


def test_the_socket_is_for_its_owner_and_goes_with_the_server(server, path):
    assert path.stat().st_mode & 0o777 == 0o600
    server.close()
    server.close()
    assert not path.exists()


def test_closing_ends_the_connection(server, connect, loop, news):
    peer = connect()
    loop.turn()
    server.close()
    assert peer.recv(1) == b""
    assert news == [""]


def test_a_name_that_is_somebody_elses_now_is_left(server, path):
    path.unlink()
    path.write_text("mine")
    server.close()
    assert path.exists()


def test_a_dead_socket_is_replaced(path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    listen(path).close()


def test_a_living_one_and_a_file_are_not(server, path, tmp_path):
    with pytest.raises(SampanError, match=f"cannot listen at {path}"):
        listen(path)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(SampanError, match="cannot listen"):
        listen(file)
    with pytest.raises(SampanError, match="too long"):
        listen(tmp_path / ("n" * 120))
