import select
import socket

import pytest

from sampan.net.core.endpoint import Endpoint
from sampan.net.runtime.control.tally import Tally

PING_TARGET = bytes([192, 168, 65, 254])


@pytest.fixture
def tally(net):
    return Tally(net.engine)


@pytest.fixture
def server():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(60)
        yield listening


def test_connections_and_their_bytes(net, tally, server, host_address):
    remote = Endpoint(host_address, server.getsockname()[1])
    connection = net.machine.connect(remote)
    net.until(lambda: connection.state == "open")
    accepted, _ = server.accept()
    connection.send(b"hello")
    assert tally.traffic(net.machine.plug.port) == (0, 0)  # it is not over
    with accepted:
        accepted.setblocking(False)
        net.until(lambda: select.select([accepted], [], [], 0)[0])
        assert accepted.recv(100) == b"hello"
        accepted.sendall(b"goodbye!")
        net.until(lambda: connection.data == b"goodbye!")
    connection.finish()
    net.until(lambda: connection.is_ended)
    net.until(lambda: tally.counters["tcp_closed"] + tally.counters["tcp_reset"])
    assert tally.counters["tcp_opened"] == 1
    assert tally.traffic(net.machine.plug.port) == (5, 8)


def test_datagrams(net, tally, host_address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        net.machine.udp(b"abc", Endpoint(host_address, server.getsockname()[1]))
        net.settle()
        net.advance(1000)
        net.until(lambda: tally.counters["udp_closed"])
    assert tally.traffic(net.machine.plug.port) == (3, 0)


def test_ports_that_are_gone_are_forgotten(net, tally):
    tally._bytes[net.machine.plug.port] = [1, 2]
    tally.unplugged({net.machine.plug.port})
    assert tally.traffic(net.machine.plug.port) == (1, 2)
    tally.unplugged(set())
    assert tally.traffic(net.machine.plug.port) == (0, 0)


def test_all_counters_are_there_from_the_beginning(tally):
    assert set(tally.counters.values()) == {0}
    assert "pings" in tally.counters
