import socket

import pytest

from sampan.net.runtime.host import descriptor
from sampan.net.runtime.service import upstream as upstream_module
from sampan.net.runtime.service.upstream import Upstream
from sampan.net.services.dnsmodel import SendQuery
from sampan.net.services.dnsstream import frame
from sampan.net.services.resolver import Server


class Asker:
    def __init__(self):
        self.answers = []
        self.failures = []
        self.upstream = None

    def answered(self, exchange, data, server):
        self.answers.append((exchange, data, server))
        if data == b"last":
            self.upstream.close(exchange)

    def failed(self, exchange):
        self.failures.append(exchange)
        self.upstream.close(exchange)


@pytest.fixture
def asker():
    return Asker()


@pytest.fixture
def upstream(net, asker):
    asker.upstream = Upstream(net.loop, asker)
    net.closing.append(asker.upstream.close_all)
    return asker.upstream


@pytest.fixture
def udp():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.settimeout(60)
        yield peer


@pytest.fixture
def tcp():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        yield listener


def query(number, peer, *, over_tcp=False):
    return SendQuery(number, Server(*peer.getsockname()), b"question %d" % number, over_tcp)


def test_each_exchange_has_a_port_of_its_own(net, upstream, udp):
    assert upstream.send(query(1, udp))
    assert upstream.send(query(2, udp))
    assert upstream.send(query(1, udp))
    received = [udp.recvfrom(100) for _ in range(3)]
    assert [data for data, _ in received] == [b"question 1", b"question 2", b"question 1"]
    assert received[0][1] == received[2][1] != received[1][1]


def test_datagrams_of_others_do_not_come_in(net, upstream, asker, udp):
    upstream.send(query(1, udp))
    _, own = udp.recvfrom(100)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(b"forged", own)
    udp.sendto(b"true", own)
    net.until(lambda: asker.answers)
    assert asker.answers == [(1, b"true", Server(*udp.getsockname()))]


def test_nothing_is_told_after_the_end(net, upstream, asker, udp):
    upstream.send(query(1, udp))
    _, own = udp.recvfrom(100)
    udp.sendto(b"last", own)
    udp.sendto(b"more", own)
    net.until(lambda: asker.answers)
    net.settle()
    assert [data for _, data, _ in asker.answers] == [b"last"]
    upstream.close(1)


def test_tcp_messages_in_pieces(net, upstream, asker, tcp):
    assert upstream.send(query(1, tcp, over_tcp=True))
    connection, _ = tcp.accept()
    with connection:
        connection.settimeout(60)
        net.settle()
        assert connection.recv(100) == frame(b"question 1")
        for byte in frame(b"one") + frame(b"two"):
            connection.send(bytes([byte]))
            net.settle()
        connection.send(frame(b"last") + frame(b"more"))
        net.until(lambda: len(asker.answers) == 3)
    assert [data for _, data, _ in asker.answers] == [b"one", b"two", b"last"]
    assert asker.failures == []


@pytest.mark.parametrize("over_tcp", [False, True])
def test_refused(net, upstream, asker, udp, over_tcp):
    asked = query(1, udp, over_tcp=over_tcp)
    udp.close()
    upstream.send(asked)
    net.until(lambda: asker.failures == [1])


def test_no_way(upstream):
    assert not upstream.send(SendQuery(1, Server("fe80::1%nowhere"), b"", over_tcp=False))
    assert not upstream.send(SendQuery(2, Server("255.255.255.255"), b"", over_tcp=False))
    assert upstream._open == {}


def test_sockets_are_bounded(upstream, udp, monkeypatch):
    monkeypatch.setattr(upstream_module, "MAX_SOCKETS", 3)
    assert [upstream.send(query(number, udp)) for number in range(5)] == [True] * 3 + [False] * 2
    upstream.close(0)
    assert upstream.send(query(5, udp))


def test_descriptors_are_left_for_others(upstream, udp, monkeypatch):
    monkeypatch.setattr(descriptor, "share", lambda part: 8 // part)
    assert [upstream.send(query(number, udp)) for number in range(3)] == [True, True, False]
