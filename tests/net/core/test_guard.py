"""What machines may say to one another: two of them on one stack, by hand."""

import pytest

from sampan.net.core.network import Network
from sampan.net.core.stack import Stack
from sampan.net.wire import udp
from sampan.net.wire.address import BROADCAST_MAC, parse_ip
from sampan.net.wire.arp import Arp, Operation
from sampan.net.wire.ethernet import EtherType, Frame
from sampan.net.wire.icmpv6 import Message
from sampan.net.wire.ipv4 import Ipv4, Protocol
from sampan.net.wire.ipv6 import Ipv6

NETWORK = Network(prefix6=parse_ip("fdc0:a841:6500::")[:8])
ME, VICTIM = b"\2\0\0\0\0\1", b"\2\0\0\0\0\2"
MINE, THEIRS = parse_ip("192.168.65.3"), parse_ip("192.168.65.4")
MINE6, THEIRS6 = parse_ip("fdc0:a841:6500::3"), parse_ip("fdc0:a841:6500::4")
LOCAL6 = parse_ip("fe80::3")
ALL_NODES = parse_ip("ff02::1")


class Pair:
    """`say` sends a frame from one machine; whether it came to the other."""

    def __init__(self):
        self.stack = Stack(NETWORK, bytes)
        self.mine = self.stack.add_port(0.0)
        self.other = self.stack.add_port(0.0)
        for ip in (THEIRS, THEIRS6):
            self._give(self.other, VICTIM, NETWORK.mac, *_hello(ip))
        self.stack.events()
        self.stack.frames_to_send()

    def _give(self, port, mac, to, kind, payload):
        frame = bytearray(Frame(to, mac, kind, payload).emit())
        self.stack.frames_received(port, [memoryview(frame)], 1.0)

    def say(self, kind, payload, *, to=VICTIM):
        self._give(self.mine, ME, to, kind, payload)
        return any(port is self.other for port, _ in self.stack.frames_to_send())

    def arp(self, ip, mac=ME):
        reply = Arp(Operation.REPLY, mac, ip, VICTIM, THEIRS)
        return self.say(EtherType.ARP, reply.emit(), to=BROADCAST_MAC)

    def ipv4(self, source, port=9, **fields):
        data = udp.Udp(port, 68, b"x").emit(source, THEIRS)
        return self.say(EtherType.IPV4, Ipv4(source, THEIRS, Protocol.UDP, data, **fields).emit())

    def ipv6(self, protocol, payload, source=MINE6):
        return self.say(EtherType.IPV6, Ipv6(source, THEIRS6, protocol, payload).emit())

    def icmpv6(self, kind, body=b"", source=LOCAL6):
        data = Message(kind, 0, 0, body).emit(source, ALL_NODES)
        return self.ipv6(Protocol.ICMPV6, data, source)


def _hello(ip):
    if len(ip) == 4:
        data = udp.Udp(5, 123, b"").emit(ip, NETWORK.gateway)
        return EtherType.IPV4, Ipv4(ip, NETWORK.gateway, Protocol.UDP, data).emit()
    data = udp.Udp(5, 123, b"").emit(ip, NETWORK.gateway6)
    return EtherType.IPV6, Ipv6(ip, NETWORK.gateway6, Protocol.UDP, data).emit()


@pytest.fixture
def pair():
    return Pair()


def test_machines_speak_as_themselves(pair):
    assert pair.arp(MINE)
    assert pair.ipv4(MINE)
    assert pair.ipv4(bytes(4))
    assert pair.ipv4(parse_ip("10.1.2.3"))  # a machine that routes
    assert pair.ipv6(Protocol.UDP, b"\0\5\0\5\0\x08\0\0")
    assert pair.ipv6(Protocol.TCP, b"")
    assert pair.icmpv6(135, THEIRS6)
    assert pair.icmpv6(136, MINE6)
    assert pair.icmpv6(128)
    assert pair.say(0x88CC, b"")
    assert pair.mine.frames_dropped == 0
    assert pair.stack.who_has(MINE, 1.0) == ME


@pytest.mark.parametrize("ip", [NETWORK.gateway, THEIRS, parse_ip("192.168.65.255")])
def test_nobody_speaks_as_another(pair, ip):
    assert not pair.arp(ip)
    assert not pair.ipv4(ip)
    assert pair.mine.frames_dropped == 2
    assert pair.stack.who_has(THEIRS, 1.0) == VICTIM


@pytest.mark.parametrize("ip", [NETWORK.gateway6, THEIRS6])
def test_nor_in_ipv6(pair, ip):
    assert not pair.ipv6(Protocol.UDP, b"\0\5\0\5\0\x08\0\0", ip)
    assert not pair.icmpv6(136, ip)


def test_arp_for_another_card(pair):
    assert not pair.arp(MINE, VICTIM)


def test_nobody_else_is_a_router(pair):
    assert not pair.icmpv6(134)
    assert not pair.icmpv6(137)
    assert not pair.icmpv6(136, b"short")


def test_nobody_else_gives_addresses(pair):
    assert not pair.ipv4(MINE, 67)
    assert not pair.ipv4(MINE, 67, more_fragments=True)
    assert pair.ipv4(MINE, 67, offset=1480)
    assert not pair.ipv6(Protocol.UDP, b"\x02\x23\0\5\0\x08\0\0")


def test_headers_hide_nothing(pair):
    advert = Message(134, 0, 0, b"").emit(MINE6, THEIRS6)
    assert not pair.ipv6(0, bytes([58, 0]) + bytes(6) + advert)
    assert not pair.ipv6(60, bytes([0, 0]) + bytes(6) + bytes([58, 0]) + bytes(6) + advert)
    solicitation = Message(135, 0, 0, THEIRS6).emit(MINE6, THEIRS6)
    assert pair.ipv6(0, bytes([58, 0]) + bytes(6) + solicitation)
    assert not pair.ipv6(44, bytes([58, 0, 0, 1]) + bytes(4) + solicitation)
    assert pair.ipv6(44, bytes([58, 0, 0, 8]) + bytes(4) + b"the rest")
    assert not pair.ipv6(0, bytes([58, 9]) + bytes(6))  # does not end
    assert not pair.ipv6(0, b"")


@pytest.mark.parametrize("kind", [0x8100, 0x88A8])
def test_tags(pair, kind):
    assert not pair.say(kind, b"\0\0\x08\x06" + bytes(28))


@pytest.mark.parametrize("kind", [EtherType.ARP, EtherType.IPV4, EtherType.IPV6])
def test_what_is_too_short(pair, kind):
    assert not pair.say(kind, b"\x45")
