"""The slow path: what is dropped, and what reaches whom."""

import pytest

from sampan.net.core import event
from sampan.net.core.endpoint import Endpoint
from sampan.net.core.network import Network
from sampan.net.wire import udp
from sampan.net.wire.address import BROADCAST_IPV4, BROADCAST_MAC, parse_ip
from sampan.net.wire.ethernet import EtherType, Frame
from sampan.net.wire.ipv4 import Ipv4, Protocol

NETWORK = Network()


def send(machine, source, destination, **fields):
    data = udp.Udp(source.port, destination.port, b"payload")
    machine.packet(
        Protocol.UDP, data.emit(source.address, destination.address), source=source.address,
        destination=destination.address, **fields,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        (Endpoint(bytes(4), 68), Endpoint(BROADCAST_IPV4, 67)),
        (Endpoint(parse_ip("192.168.65.3"), 5000), Endpoint(NETWORK.gateway, 53)),
        (Endpoint(parse_ip("192.168.65.3"), 123), Endpoint(NETWORK.gateway, 123)),
    ],
)
def test_datagrams_for_services(machine, source, destination):
    to = BROADCAST_MAC if destination.address == BROADCAST_IPV4 else NETWORK.mac
    send(machine, source, destination, to=to)
    [told] = machine.events()
    assert told == event.ServiceDatagram(machine.port, machine.mac, source, destination, b"payload")


def test_other_broadcasts_are_nobodys(machine):
    send(machine, machine.guest, Endpoint(BROADCAST_IPV4, 9999), to=BROADCAST_MAC)
    assert machine.events() == []
    assert machine.sent() == []


@pytest.mark.parametrize("source", ["192.168.65.1", "8.8.8.8", "224.0.0.5", "255.255.255.255"])
def test_spoofed_addresses(machine, source):
    send(machine, Endpoint(parse_ip(source), 5), machine.remote)
    assert machine.events() == []
    assert machine.port.frames_dropped == 1


def test_address_of_another_machine(machine):
    send(machine, machine.guest, machine.remote)
    other = machine.stack.add_port(machine.now)
    machine.events()
    machine.port, machine.mac = other, b"\x02\0\0\0\0\x77"
    send(machine, machine.guest, machine.remote)
    assert machine.events() == []
    assert other.frames_dropped == 1


def test_nobody_may_only_ask_for_an_address(machine):
    send(machine, Endpoint(bytes(4), 68), machine.remote)
    assert machine.events() == []


def test_fragments_are_joined(machine):
    data = udp.Udp(machine.guest.port, machine.remote.port, bytes(3000))
    payload = data.emit(machine.guest.address, machine.remote.address)
    for start in (1600, 0):
        machine.packet(
            Protocol.UDP, payload[start : start + 1600], offset=start, identification=5,
            more_fragments=start == 0,
        )  # fmt: skip
    [told] = machine.events()
    assert [len(each) for each in told.flow.datagrams()] == [3000]


def test_arp_that_names_another_station(machine):
    machine.mac, honest = b"\x02\0\0\0\0\x55", machine.mac
    machine.arp()
    machine.events()
    frame = bytearray(Frame(BROADCAST_MAC, honest, EtherType.ARP, bytes(28)).emit())
    machine.frames(bytes(frame))
    assert machine.port.frames_dropped == 1


@pytest.mark.parametrize("kind", [0x8100, 0x88CC, 0x0000])
def test_other_protocols_are_ignored(machine, kind):
    machine.frames(Frame(NETWORK.mac, machine.mac, kind, bytes(60)).emit())
    assert machine.events() == []
    assert machine.sent() == []


def test_ipv6_where_there_is_none(make_machine6):
    machine = make_machine6()
    object.__setattr__(machine.stack.network, "prefix6", b"")
    send(machine, machine.guest, machine.remote)
    assert machine.events() == []


def test_padding_is_not_payload(machine):
    data = udp.Udp(machine.guest.port, machine.remote.port, b"ab")
    packet = Ipv4(machine.guest.address, machine.remote.address, 17, data.emit(machine.guest.address, machine.remote.address))  # fmt: skip
    frame = Frame(NETWORK.mac, machine.mac, EtherType.IPV4, packet.emit() + bytes(30)).emit()
    machine.frames(frame, frame)
    [told] = machine.events()
    assert [bytes(each) for each in told.flow.datagrams()] == [b"ab", b"ab"]
