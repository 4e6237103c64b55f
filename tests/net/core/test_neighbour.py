import pytest

from sampan.net.core.limit import Limits
from sampan.net.core.neighbour import Neighbours
from sampan.net.core.network import Network
from sampan.net.core.port import Port
from sampan.net.wire import address, ndp
from sampan.net.wire.address import parse_ip
from sampan.net.wire.arp import Arp, Operation
from sampan.net.wire.icmpv6 import Message
from sampan.net.wire.ipv4 import Protocol

NETWORK = Network()
IP = parse_ip("192.168.65.3")
A, B = b"\x02\0\0\0\0\1", b"\x02\0\0\0\0\2"


@pytest.fixture
def table():
    return Neighbours(NETWORK, Limits(addresses=3, neighbour_s=100))


@pytest.fixture
def ports():
    return Port(1, Limits()), Port(2, Limits())


def test_first_come_and_for_as_long_as_it_speaks(table, ports):
    one, two = ports
    assert table.heard(IP, one, A, 0.0) is True
    assert table.heard(IP, one, A, 50.0) is None
    assert table.heard(IP, two, B, 149.0) is False
    assert table.heard(IP, two, B, 151.0) is True
    assert table.find(IP).port is two


def test_new_card_on_the_same_port(table, ports):
    table.heard(IP, ports[0], A, 0.0)
    assert table.heard(IP, ports[0], B, 1.0) is True
    assert table.find(IP).mac == B


@pytest.mark.parametrize(
    "ip", ["192.168.65.1", "8.8.8.8", "224.0.0.1", "192.168.65.255", "0.0.0.0", "2001:db8::1", "::"]
)
def test_addresses_that_nobody_may_have(table, ports, ip):
    assert table.heard(parse_ip(ip), ports[0], A, 0.0) is False


def test_reserved_address(table, ports):
    table.heard(IP, ports[0], A, 0.0)
    table.reserve(IP, B)
    assert table.find(IP) is None
    assert table.heard(IP, ports[0], A, 1.0) is False
    assert table.heard(IP, ports[1], B, 1.0) is True
    table.reserve(parse_ip("192.168.65.9"), A)
    table.reserve(parse_ip("192.168.65.9"), b"")
    assert table.heard(parse_ip("192.168.65.9"), ports[1], B, 1.0) is True


def test_bounded_for_each_port(table, ports):
    for number in range(10):
        table.heard(bytes([192, 168, 65, 10 + number]), ports[0], A, float(number))
    known = [n for n in range(10) if table.find(bytes([192, 168, 65, 10 + n]))]
    assert known == [7, 8, 9]
    table.forget(ports[0])
    assert table.find(bytes([192, 168, 65, 19])) is None


def test_questions_that_are_ours(table):
    for text in ("192.168.65.1", "192.168.65.254", "8.8.8.8", "fdc0:a841:6500::1", "2001:db8::1"):
        assert table.answers_for(parse_ip(text)), text
    for text in ("192.168.65.3", "fe80::9", "fdc0:a841:6500::9", "224.0.0.1", "0.0.0.0"):
        assert not table.answers_for(parse_ip(text)), text


def test_arp_for_the_gateway(machine):
    machine.arp()
    [frame] = machine.sent()
    answer = Arp.parse(frame.payload)
    assert frame.destination == machine.mac
    assert answer.operation == Operation.REPLY
    assert (answer.sender_mac, answer.sender_ip) == (NETWORK.mac, NETWORK.gateway)
    assert answer.target_ip == machine.guest.address


def test_arp_that_is_not_ours(machine):
    machine.arp(target=parse_ip("192.168.65.77"))
    machine.arp(target=machine.guest.address)  # an announcement
    machine.arp(operation=2)
    assert machine.sent() == []


def test_probe_for_our_address_is_answered(machine):
    machine.arp(ip=bytes(4))
    [frame] = machine.sent()
    assert Arp.parse(frame.payload).target_ip == bytes(4)


def solicit(machine, target, source=None, hops=255):
    source = machine.guest.address if source is None else source
    group = address.solicited_node(target)
    body = ndp.Solicitation(target, machine.mac).message().emit(source, group)
    machine.packet(
        Protocol.ICMPV6,
        body,
        source=source,
        destination=group,
        hop_limit=hops,
        to=address.multicast_mac(group),
    )


def answers(machine):
    found = []
    for packet in machine.packets():
        message = Message.parse(packet.payload, packet.source, packet.destination)
        found.append((packet, ndp.parse(message)))
    return found


def test_solicitation_for_the_gateway(make_machine6):
    machine = make_machine6()
    solicit(machine, NETWORK.gateway6)
    [(packet, answer)] = answers(machine)
    assert packet.hop_limit == 255
    assert packet.destination == machine.guest.address
    assert (answer.target, answer.mac, answer.solicited) == (NETWORK.gateway6, NETWORK.mac, True)


def test_somebody_wants_our_address(make_machine6):
    machine = make_machine6()
    solicit(machine, NETWORK.gateway6, source=bytes(16))
    [(packet, answer)] = answers(machine)
    assert packet.destination == address.ALL_NODES_IPV6
    assert not answer.solicited


def test_solicitations_that_are_not_ours(make_machine6):
    machine = make_machine6()
    solicit(machine, parse_ip("fdc0:a841:6500::99"))
    solicit(machine, NETWORK.gateway6, hops=64)  # from beyond the link
    assert machine.sent() == []


def test_asking(make_machine6):
    machine = make_machine6()
    machine.stack.open(machine.guest, machine.remote, machine.now)
    [(packet, question)] = answers(machine)
    assert packet.destination == address.solicited_node(machine.guest.address)
    assert question == ndp.Solicitation(machine.guest.address, NETWORK.mac)
