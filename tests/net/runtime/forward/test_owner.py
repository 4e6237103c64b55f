"""Who has a port, read from proc(5): the real one, and made-up ones."""

import os
import socket

import pytest

from sampan.net.runtime.forward import owner
from sampan.net.services.forward import Protocol


@pytest.fixture
def listening():
    with socket.create_server(("127.0.0.1", 0)) as found:
        yield found.getsockname()[1]


def test_a_process_of_ours_is_found(listening):
    found = owner.of_port(Protocol.TCP, listening)
    assert found is not None
    assert found.pid == os.getpid()
    assert str(found) == f"{found.name} (process {os.getpid()})"


def test_udp_and_ipv6_are_found_as_well():
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as bound:
        bound.bind(("::1", 0))
        found = owner.of_port(Protocol.UDP, bound.getsockname()[1])
    assert found is not None
    assert found.pid == os.getpid()


def test_nobody_has_a_port_that_is_free(listening):
    assert owner.of_port(Protocol.UDP, listening) is None


def test_whose_socket_cannot_be_seen_is_unknown(tmp_path, listening):
    (tmp_path / "net").mkdir()
    row = f"0: 0100007F:{listening:04X} 00000000:0000 0A 0:0 00:0 0 0 0 4711 1"
    (tmp_path / "net/tcp").write_text(f"header\n{row}\nshort row\n")
    (tmp_path / "17/fd").mkdir(parents=True)
    assert owner.of_port(Protocol.TCP, listening, tmp_path) is None
    (tmp_path / "17/fd/3").symlink_to("socket:[4711]")
    assert owner.of_port(Protocol.TCP, listening, tmp_path) == owner.Owner(17, "?")


def test_unix_sockets(tmp_path):
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(path)
        bound.listen()
        found = owner.of_unix_socket(path)
        assert found is not None
        assert found.pid == os.getpid()
    assert owner.of_unix_socket(path) is None


def test_no_proc_at_all(tmp_path):
    assert owner.of_port(Protocol.TCP, 1, tmp_path) is None
    assert owner.of_unix_socket("/x", tmp_path) is None


@pytest.mark.parametrize(
    ("family", "address", "shown"),
    [
        (socket.AF_INET, "127.0.0.1", "127.0.0.1:{}"),
        (socket.AF_INET6, "::1", "[::1]:{}"),
    ],
)
def test_who_has_connected(family, address, shown):
    with (
        socket.create_server((address, 0), family=family) as server,
        socket.create_connection(server.getsockname()[:2]) as client,
        server.accept()[0],
        socket.socket() as unconnected,
    ):
        unconnected.bind(("127.0.0.1", 0))  # so that nobody else connects from there
        end = shown.format(client.getsockname()[1])
        found = owner.of_clients([end, f"127.0.0.1:{unconnected.getsockname()[1]}"])
        assert found == {end: owner.process(os.getpid())}


def test_a_client_that_speaks_ipv4_by_an_ipv6_socket():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_INET6) as client:
        client.connect(("::ffff:127.0.0.1", server.getsockname()[1]))
        with server.accept()[0] as taken:
            host, port = taken.getpeername()
            assert owner.of_clients([f"{host}:{port}"]).keys() == {f"127.0.0.1:{port}"}


def test_clients_elsewhere_are_unknown(tmp_path):
    assert owner.of_clients(["192.0.2.1:5"]) == {}
    assert owner.of_clients(["192.0.2.1:5"], tmp_path) == {}
    assert owner.process(17, tmp_path) == owner.Owner(17, "?")
