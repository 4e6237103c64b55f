"""UDP sessions are bounded; the rest of datagram forwards is in test_table."""

import socket

import pytest

from sampan.net.core.endpoint import Endpoint
from sampan.net.runtime.forward import datagram
from sampan.net.runtime.forward.datagram import DatagramForward
from sampan.net.runtime.forward.listener import Sources


def test_the_longest_idle_session_makes_room(net, monkeypatch):
    monkeypatch.setattr(datagram, "MAX_SESSIONS", 2)
    bound = socket.socket(type=socket.SOCK_DGRAM)
    bound.bind(("127.0.0.1", 0))
    bound.setblocking(False)
    guest = Endpoint(net.machine.ip, 53)
    forward = DatagramForward(net.outbound, Sources(net.engine), bound, lambda: guest)
    net.closing.append(forward.close)
    net.machine.udp(b"here I am", Endpoint(net.network.gateway, 9))
    peers = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(3)]
    for number, peer in enumerate(peers):
        peer.sendto(bytes([number]), bound.getsockname())
        net.until(
            lambda number=number: (
                net.machine.datagrams[-1:] and net.machine.datagrams[-1].payload == bytes([number])
            )
        )
    sources = [each.source for each in net.machine.datagrams]
    for peer, source in zip(peers, sources, strict=True):
        peer.setblocking(False)
        net.machine.udp(b"back", source, port=53)
    net.settle()
    answered: list[bytes | None] = []
    for peer in peers:
        try:
            answered.append(peer.recv(10))
        except BlockingIOError:
            answered.append(None)
        peer.close()
    assert answered == [None, b"back", b"back"]


@pytest.fixture
def forwarded(net):
    """A forward to port 53 of the machine; one peer's datagram has arrived, from our port."""
    with (
        socket.socket(type=socket.SOCK_DGRAM) as bound,
        socket.socket(type=socket.SOCK_DGRAM) as peer,
    ):
        bound.bind(("127.0.0.1", 0))
        bound.setblocking(False)
        peer.setblocking(False)
        guest = Endpoint(net.machine.ip, 53)
        forward = DatagramForward(net.outbound, Sources(net.engine), bound, lambda: guest)
        net.machine.udp(b"here I am", Endpoint(net.network.gateway, 9))
        peer.sendto(b"question", bound.getsockname())
        net.until(lambda: net.machine.datagrams)
        yield forward, peer, net.machine.datagrams[-1].source
        forward.close()


def test_nobody_else_may_answer(net, forwarded):
    _, peer, ours = forwarded
    other = net.add(bytes([192, 168, 65, 4]))
    other.udp(b"forged", ours, port=53)
    net.machine.udp(b"by another program", ours, port=54)
    net.settle()
    with pytest.raises(BlockingIOError):
        peer.recv(100)
    net.machine.udp(b"answer", ours, port=53)
    net.until(lambda: peer.recv(100) == b"answer")


def test_a_port_that_a_session_has_is_passed_over(net, forwarded):
    forward, peer, ours = forwarded
    forward._sources._next = ours.port
    with socket.socket(type=socket.SOCK_DGRAM) as second:
        second.sendto(b"another", forward._socket.getsockname())
        net.until(lambda: len(net.machine.datagrams) > 1)
    assert net.machine.datagrams[-1].source.port == ours.port + 1
    net.machine.udp(b"answer", ours, port=53)
    net.until(lambda: peer.recv(100) == b"answer")


def test_without_a_port_datagrams_are_lost(net, forwarded, monkeypatch):
    forward, _, _ = forwarded
    monkeypatch.setattr(net.outbound, "serves_datagrams", lambda _: True)
    with socket.socket(type=socket.SOCK_DGRAM) as second:
        second.sendto(b"another", forward._socket.getsockname())
        net.settle()
    assert len(net.machine.datagrams) == 1
