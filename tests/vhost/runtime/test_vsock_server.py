"""The device in a thread of its own: who connects, who takes over, what is left behind."""

import resource
import socket

import pytest

from sampan.vhost.runtime import vsock_server
from sampan.vhost.runtime.vsock_server import VsockServer


@pytest.fixture
def server(runtime_root):
    made = VsockServer(runtime_root / "device", runtime_root, 3, (7,))
    yield made
    made.close()


def front_end(runtime_root):
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(60)
    made.connect(str(runtime_root / "device"))
    return made


def test_the_last_front_end_takes_over(server, runtime_root):
    with front_end(runtime_root) as first, front_end(runtime_root) as second:
        assert first.recv(1) == b""
        second.sendall(b"\1\0\0\0\1\0\0\0\0\0\0\0")  # GET_FEATURES
        assert second.recv(100)[0] == 1
        second.close()
        with front_end(runtime_root) as third:
            third.sendall(b"no message")
            third.sendall(bytes(2))
            assert third.recv(1) == b""


def test_a_connection_waits_for_the_guest(server, runtime_root):
    found = server.connect(2374)
    assert server.count == 1
    server.reset()  # it was never asked for
    assert server.count == 1
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(runtime_root / "guest.00000007"))
        client.settimeout(60)
        server.close()
        assert client.recv(1) == b""
    assert found.result(60) is None
    assert list(runtime_root.iterdir()) == []


def test_who_does_not_wait_any_longer(server):
    found = server.connect(2374)
    assert found.cancel()
    server.close()
    assert server.connect(1).cancelled()


def test_a_socket_that_cannot_be_made(runtime_root):
    (runtime_root / "connect").write_text("in the way")
    with pytest.raises(Exception, match="cannot make a socket"):
        VsockServer(runtime_root / "device", runtime_root, 3)
    assert [path.name for path in runtime_root.iterdir()] == ["connect"]


@pytest.mark.parametrize(
    ("soft", "limit"), [(1024, 256), (1 << 20, 1024), (resource.RLIM_INFINITY, 1024)]
)
def test_connections_leave_descriptors_for_others(soft, limit, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, soft))
    assert vsock_server._limit() == limit
