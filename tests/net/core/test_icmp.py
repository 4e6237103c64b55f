import pytest

from sampan.net.core import event
from sampan.net.core.endpoint import Endpoint
from sampan.net.core.limit import Limits
from sampan.net.core.network import Network
from sampan.net.wire import icmpv4, icmpv6
from sampan.net.wire.address import parse_ip
from sampan.net.wire.ipv4 import Ipv4, Protocol
from sampan.net.wire.ipv6 import Ipv6
from sampan.net.wire.tcp import Flag

NETWORK = Network()


def ping(machine, destination, **fields):
    if len(destination) == 4:
        data = icmpv4.Echo(False, 7, 8, b"payload").emit()
        machine.packet(Protocol.ICMP, data, destination=destination, **fields)
    else:
        message = icmpv6.Message(icmpv6.Kind.ECHO, 0, 7 << 16 | 8, b"payload")
        data = message.emit(machine.guest.address, destination)
        machine.packet(Protocol.ICMPV6, data, destination=destination, **fields)


def test_gateway_answers(machine):
    ping(machine, NETWORK.gateway)
    [packet] = machine.packets()
    assert packet.source == NETWORK.gateway
    assert icmpv4.parse(packet.payload) == icmpv4.Echo(True, 7, 8, b"payload")


def test_gateway_answers_over_ipv6(make_machine6):
    machine = make_machine6()
    ping(machine, NETWORK.gateway6)
    [packet] = machine.packets()
    message = icmpv6.Message.parse(packet.payload, packet.source, packet.destination)
    assert (message.kind, message.word, message.body) == (129, 7 << 16 | 8, b"payload")


@pytest.mark.parametrize("six", [False, True])
def test_echo_to_elsewhere(make_machine, make_machine6, six):
    machine = (make_machine6 if six else make_machine)()
    ping(machine, machine.remote.address, hop_limit=9)
    [request] = machine.events()
    assert isinstance(request, event.EchoRequested)
    assert (request.identifier, request.sequence, request.hop_limit) == (7, 8, 9)
    machine.stack.send_echo_reply(request, b"answer", machine.now)
    [packet] = machine.packets()
    assert packet.source == machine.remote.address
    machine.stack.send_error(request, event.Refusal.HOST_UNREACHABLE, machine.now)
    [packet] = machine.packets()
    assert packet.source in NETWORK.ours
    assert packet.payload[:2] == (b"\x01\x03" if six else b"\x03\x01")


def test_echo_to_groups_and_neighbours(machine):
    for text in ("224.0.0.1", "192.168.65.255", "240.0.0.1"):
        ping(machine, parse_ip(text))
    assert machine.events() == []
    assert machine.packets() == []


def test_no_hops_left(machine):
    ping(machine, machine.remote.address, hop_limit=1)
    [packet] = machine.packets()
    message = icmpv4.parse(packet.payload)
    assert isinstance(message, icmpv4.TimeExceeded)
    quoted = Ipv4.parse(message.quote)
    assert quoted.destination == machine.remote.address
    assert quoted.payload[:4] == b"\x08\0" + icmpv4.Echo(False, 7, 8, b"payload").emit()[2:4]


@pytest.mark.parametrize(("refusal", "code"), [("HOST_UNREACHABLE", 1), ("NETWORK_UNREACHABLE", 0), ("PROHIBITED", 13)])  # fmt: skip
def test_connection_that_cannot_be_made(machine, refusal, code):
    machine.segment(Flag.SYN, 77)
    [opened] = machine.events()
    opened.flow.refuse(event.Refusal[refusal], machine.now)
    [packet] = machine.packets()
    message = icmpv4.parse(packet.payload)
    assert message.code == code
    quoted = Ipv4.parse(message.quote)
    assert (quoted.source, quoted.destination) == (machine.guest.address, machine.remote.address)
    assert quoted.payload == (40000).to_bytes(2, "big") + (80).to_bytes(2, "big") + (77).to_bytes(4, "big")  # fmt: skip


def test_connection_over_ipv6_that_cannot_be_made(make_machine6):
    machine = make_machine6()
    machine.segment(Flag.SYN, 77)
    [opened] = machine.events()
    opened.flow.refuse(event.Refusal.NETWORK_UNREACHABLE, machine.now)
    [packet] = machine.packets()
    message = icmpv6.Message.parse(packet.payload, packet.source, packet.destination)
    assert (message.kind, message.code) == (1, 0)
    assert Ipv6.parse(message.body).source == machine.guest.address


def test_station_that_is_not_there(machine):
    machine.remote = Endpoint(parse_ip("192.168.65.200"), 80)
    machine.segment(Flag.SYN, 77)
    [packet] = machine.packets()
    assert icmpv4.parse(packet.payload).code == 1


def test_errors_are_limited_in_rate(make_machine):
    machine = make_machine(limits=Limits(errors_per_s=5))
    for _ in range(50):
        ping(machine, machine.remote.address, hop_limit=1)
    assert len(machine.packets()) == 5


def test_replies_and_errors_are_not_answered(machine):
    for data in (
        icmpv4.Echo(True, 1, 2, b"").emit(),
        icmpv4.TimeExceeded(0, bytes(28)).emit(),
        icmpv4.DestinationUnreachable(3, bytes(28)).emit(),
    ):
        machine.packet(Protocol.ICMP, data, destination=NETWORK.gateway)
    assert machine.packets() == []
    assert machine.events() == []
