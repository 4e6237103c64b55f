"""Errors that machines report: whose they are believed to be, and what comes of them."""

import pytest

from sampan.net.core import event
from sampan.net.core.complaint import Quoted, quoted
from sampan.net.core.endpoint import Endpoint
from sampan.net.core.event import Refusal
from sampan.net.core.icmp import quote_flow
from sampan.net.core.state import State
from sampan.net.wire import icmpv4, icmpv6, udp
from sampan.net.wire.address import parse_ip
from sampan.net.wire.ipv4 import Ipv4, Protocol
from sampan.net.wire.tcp import Flag, Options

PORT4, HOST4, NEEDED4, ADMIN4 = 3, 1, 4, 13
PORT6, ADDRESS6 = 4, 3


def number(value):
    return (value & 0xFFFFFFFF).to_bytes(4, "big")


def complain(machine, code, quote, *, mtu=0, source=None):
    """The machine sends an error about a packet of `machine.remote` to itself."""
    source, destination = source or machine.guest.address, machine.remote.address
    if len(source) == 4:
        data = icmpv4.DestinationUnreachable(code, quote, mtu).emit()
        machine.packet(Protocol.ICMP, data, source=source)
        return
    kind = icmpv6.Kind.PACKET_TOO_BIG if mtu else icmpv6.Kind.UNREACHABLE
    data = icmpv6.Message(kind, code, mtu, quote).emit(source, destination)
    machine.packet(Protocol.ICMPV6, data, source=source)


def about(machine, sequence, protocol=Protocol.TCP):
    """The beginning of a packet of ours, as an error quotes it."""
    return quote_flow(machine.remote, machine.guest, protocol, number(sequence))


@pytest.fixture(params=[4, 6])
def either(request, make_machine, make_machine6):
    return (make_machine if request.param == 4 else make_machine6)()


def opening(machine):
    machine.stack.frames_received(machine.port, [], machine.now)
    if len(machine.guest.address) == 4:
        machine.arp()
    else:
        complain(machine, PORT6, b"nonsense, but now it is known")
    flow = machine.stack.open(machine.guest, machine.remote, machine.now)
    machine.stack.frames_to_send()
    machine.events()
    return flow


@pytest.mark.parametrize(
    ("code", "reason"),
    [("port", event.Reason.REFUSED), ("host", event.Reason.UNREACHABLE)],
)
def test_opening_fails_at_once(either, code, reason):
    flow = opening(either)
    six = len(either.guest.address) == 16
    codes = {"port": PORT6 if six else PORT4, "host": ADDRESS6 if six else HOST4}
    complain(either, codes[code], about(either, flow.sender.una))
    assert either.events() == [event.FlowReset(flow, reason)]
    assert not flow.is_alive
    assert (either.port.flows, either.port.half_open) == (0, 0)


def test_prohibited_is_a_refusal(machine):
    flow = opening(machine)
    complain(machine, ADMIN4, about(machine, flow.sender.una))
    assert machine.events() == [event.FlowReset(flow, event.Reason.REFUSED)]


@pytest.mark.parametrize("ahead", [-1, 1, 1 << 31])
def test_a_guessed_number_means_nothing(either, ahead):
    flow = opening(either)
    complain(either, PORT4, about(either, flow.sender.una + ahead))
    assert either.events() == []
    assert flow.state is State.SYN_SENT


def test_nobody_speaks_for_another(machine):
    flow = opening(machine)
    neighbour = bytes([*machine.guest.address[:3], 77])
    complain(machine, PORT4, about(machine, flow.sender.una), source=neighbour)
    assert [each for each in machine.events() if isinstance(each, event.FlowReset)] == []
    assert flow.is_alive


def test_an_established_connection_bears_it(player, opened):
    player.play(opened + '- send "text"\n> AP 1 ack 1 "text"')
    machine, flow = player.machine, player.flow
    for code in (PORT4, HOST4, ADMIN4):
        complain(machine, code, about(machine, flow.sender.una))
    assert machine.events() == []
    assert flow.state is State.ESTABLISHED


@pytest.mark.parametrize("head", [0, 10])
def test_too_large_packets_go_again_in_smaller_ones(make_player, opened, head):
    player = make_player(head=head).play(opened)
    machine, flow = player.machine, player.flow
    data = bytes(number & 255 for number in range(4380))
    machine.send(data, flow)
    machine.stack.frames_to_send()
    complain(machine, NEEDED4, about(machine, flow.sender.una + 1460), mtu=1000)
    segments = machine.segments()
    assert b"".join(segment.payload for segment in segments) == data
    assert flow.sender.mss == flow.template.mss == 960
    if not head:
        assert [len(segment.payload) for segment in segments] == [960, 960, 960, 960, 540]
    machine.segment(16, segments[0].acknowledgment, segments[0].sequence + 4380)
    assert flow.sender.in_flight == 0
    assert flow.sender.recover is None
    assert flow.room() == flow.sender.superframe == 65280


@pytest.mark.parametrize(
    ("mtu", "mss"),
    [(0, 536), (20, 88), (1499, 1459), (1500, 1460), (9000, 1460)],
)
def test_segment_sizes_have_bounds(player, opened, mtu, mss):
    player.play(opened)
    machine, flow = player.machine, player.flow
    machine.send(b"x", flow)
    machine.stack.frames_to_send()
    complain(machine, NEEDED4, about(machine, flow.sender.una), mtu=mtu)
    assert flow.sender.mss == mss
    assert len(machine.segments()) == (mss < 1460)


def test_too_big_over_ipv6(make_machine6):
    machine = make_machine6()
    machine.segment(Flag.SYN, 99, options=Options(mss=1440, window_shift=7))
    [opened] = [each for each in machine.events() if isinstance(each, event.FlowOpened)]
    opened.flow.accept(machine.now)
    machine.segment(Flag.ACK, 100, opened.flow.sender.next)
    machine.send(bytes(3000))
    machine.stack.frames_to_send()
    complain(machine, 0, about(machine, opened.flow.sender.una), mtu=1280)
    assert [len(segment.payload) for segment in machine.segments()] == [1220, 1220, 560]


def test_datagram_refused(either):
    guest, remote = either.guest, either.remote
    code = PORT4 if len(guest.address) == 4 else PORT6
    complain(either, code, about(either, 0, Protocol.UDP))
    assert either.events() == [event.DatagramRefused(guest, remote, Refusal.REFUSED, None)]


def test_datagram_of_a_flow_is_refused(machine):
    guest, remote = machine.guest, machine.remote
    data = udp.Udp(guest.port, remote.port, b"question").emit(guest.address, remote.address)
    machine.packet(Protocol.UDP, data)
    [flow] = machine.stack.udp_flows
    machine.events()
    complain(machine, HOST4, about(machine, 0, Protocol.UDP))
    assert machine.events() == [
        event.DatagramRefused(guest, remote, Refusal.HOST_UNREACHABLE, flow)
    ]
    complain(machine, NEEDED4, about(machine, 0, Protocol.UDP), mtu=600)
    complain(machine, PORT4, about(machine, 0, Protocol.ICMP))
    assert machine.events() == []
    assert machine.stack.udp_flows == (flow,)


@pytest.mark.parametrize("length", range(0, 28, 3))
def test_quotes_that_are_cut_short(machine, length):
    complain(machine, PORT4, about(machine, 1)[:length])
    assert machine.events() == []


def test_what_is_quoted():
    ours, theirs = Endpoint(parse_ip("1.2.3.4"), 53), Endpoint(parse_ip("192.168.65.3"), 4000)
    start = b"\0\x35\x0f\xa0\1\2\3\4"
    packet = Ipv4(ours.address, theirs.address, 6, start, options=bytes(8)).emit()
    assert quoted(packet) == Quoted(6, ours, theirs, 0x01020304)
    assert quoted(b"") is None
    assert quoted(b"\x41" + packet[1:]) is None  # a header of four bytes
    assert quoted(b"\x90" * 60) is None
