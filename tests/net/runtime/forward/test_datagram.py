"""UDP sessions are bounded; the rest of datagram forwards is in test_table."""

import socket

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
