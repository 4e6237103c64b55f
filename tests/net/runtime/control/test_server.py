import json
import os
import socket
import stat
from contextlib import suppress

import pytest

from sampan.errors import SampanError
from sampan.net.runtime.control import listener, server
from sampan.net.runtime.control.api import table
from sampan.net.runtime.control.client import Client
from sampan.net.runtime.control.fault import ControlError

GET = b"GET /v1/network HTTP/1.1\r\nHost: h\r\n\r\n"


def _connect(path):
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(60)
    connection.connect(str(path))
    return connection


def _all(connection):
    data = b""
    while piece := connection.recv(65536):
        data += piece
    return data


def _answer(connection):
    data = b""
    while not data.endswith(b"}\n"):
        data += connection.recv(65536)
    return data


def test_socket_is_its_owners_alone(served):
    assert stat.S_IMODE(served.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(served.path.parent.stat().st_mode) == 0o700


def test_other_users_are_refused(served, monkeypatch):
    monkeypatch.setattr(listener, "peer", lambda _: os.geteuid() + 1)
    with _connect(served.path) as connection:
        data = _all(connection)
    assert data.startswith(b"HTTP/1.1 403")
    assert json.loads(data.partition(b"\r\n\r\n")[2])["error"]["message"].endswith("another user's")


def test_root_is_served(served, monkeypatch):
    monkeypatch.setattr(listener, "peer", lambda _: 0)
    assert Client(served.path).info().name == "test"


def test_too_many_clients(served, monkeypatch):
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 2)
    with _connect(served.path) as first, _connect(served.path) as second:
        for each in (first, second):
            each.sendall(GET)
            assert each.recv(12) == b"HTTP/1.1 200"
        with _connect(served.path) as third:
            assert _all(third).startswith(b"HTTP/1.1 503")
        with pytest.raises(ControlError, match="2 clients are connected already"):
            Client(served.path).info()
    while served.call(lambda: len(served.server._connections)):
        pass
    assert Client(served.path).info().name == "test"


def _pass(served, seconds):
    """Let time pass for the server."""
    before = served.loop.now

    def later():
        served.loop.now = lambda: before() + seconds
        served.server._sweep()

    served.call(later)


def test_clients_that_say_nothing_are_sent_away(served):
    with _connect(served.path) as silent, _connect(served.path) as slow:
        slow.sendall(GET[:10])
        silent.sendall(GET)
        assert _answer(silent).startswith(b"HTTP/1.1 200")
        _pass(served, 11)
        with suppress(ConnectionResetError):  # what it said had not even been read
            assert _all(slow) == b""
        silent.sendall(GET)  # it is still welcome
        assert _answer(silent).startswith(b"HTTP/1.1 200")
        _pass(served, 121)
        assert _all(silent) == b""


def test_nobody_is_swept_without_clients(served):
    served.call(served.server._sweep)
    assert served.server._sweeper is None


def test_close_removes_the_socket_and_cuts_off(network, served):
    with _connect(served.path) as connection:
        connection.sendall(GET)
        connection.recv(1)
        served.call(served.server.close)
        _all(connection)
    assert not served.path.exists()
    served.call(served.server.close)


def test_close_leaves_anothers_socket(served, network):
    served.path.unlink()
    other = listener.listen(served.path)
    served.call(served.server.close)
    assert served.path.exists()
    other.close()


def test_a_second_network_at_the_same_place(served, network):
    with pytest.raises(SampanError, match=r"listens at net/control\.sock already"):
        server.Server(served.loop, served.path, table(network).answer)
