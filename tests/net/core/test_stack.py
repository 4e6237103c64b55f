"""Ports, machines among themselves, timers, and the turn of a runtime."""

import math

import pytest

from sampan.net.core import event
from sampan.net.core.endpoint import Endpoint
from sampan.net.core.network import Network
from sampan.net.core.stack import Stack
from sampan.net.wire.address import parse_ip
from sampan.net.wire.tcp import Flag
from sampan.net.wire.udp import Udp

FIRST, OURS = 0xFFFFFFF0, 0xFFFFFFFA


def test_machines_reach_each_other(machine):
    other = machine.stack.add_port(machine.now, head=10)
    machine.stack.frames_to_send()
    machine.frames(machine.frame(17, b"to everybody", to=b"\xff" * 6))
    [(port, frames)] = machine.stack.frames_to_send()
    assert port is other
    [frame] = frames
    assert frame[0][:10] == bytes(10)
    assert frame[0].endswith(b"to everybody")


def test_removed_port_takes_its_flows_along(machine):
    machine.segment(Flag.SYN, FIRST)
    [opened] = machine.events()
    machine.packet(17, Udp(1, 2, b"").emit(machine.guest.address, machine.remote.address))
    [begun] = machine.events()
    machine.stack.remove_port(machine.port, machine.now)
    assert machine.events() == [
        event.FlowReset(opened.flow, event.Reason.GONE),
        event.UdpFlowClosed(begun.flow),
    ]
    assert machine.stack.ports == ()
    assert machine.stack.flows == machine.stack.udp_flows == ()
    assert machine.stack.stations == {}


def test_neighbours_are_told(machine):
    machine.arp()
    [learned] = machine.stack.events()
    assert learned == event.NeighbourLearned(machine.port, machine.guest.address, machine.mac)
    machine.arp()
    assert machine.stack.events() == []


def test_datagram_to_a_machine(machine):
    source = Endpoint(machine.stack.network.gateway, 53)
    assert not machine.stack.send_datagram(source, machine.guest, b"answer", machine.now)
    assert [frame.ethertype for frame in machine.sent()] == [0x0806]
    machine.arp(operation=2)
    assert machine.stack.send_datagram(source, machine.guest, b"answer", machine.now)
    [packet] = machine.packets()
    assert packet.payload[8:] == b"answer"


def test_datagram_to_a_machine_without_address(machine):
    """What DHCP needs."""
    source = Endpoint(machine.stack.network.gateway, 67)
    to = Endpoint(machine.guest.address, 68)
    assert machine.stack.send_datagram(
        source, to, b"offer", machine.now, to=(machine.port, machine.mac)
    )
    [frame] = machine.sent()
    assert frame.destination == machine.mac


def test_connection_to_nobody_of_this_network(machine):
    for text in ("8.8.8.8", "192.168.65.1"):
        with pytest.raises(ValueError, match="no machine of this network"):
            machine.stack.open(Endpoint(parse_ip(text), 80), machine.remote, machine.now)


def test_machine_that_is_never_found(machine):
    flow = machine.stack.open(machine.guest, machine.remote, machine.now)
    machine.wait(2000)
    assert machine.events() == [event.FlowReset(flow, event.Reason.TIMED_OUT)]
    assert machine.stack.flows == ()
    assert machine.stack._wanted == {}


def test_reserved_address(machine):
    machine.stack.reserve(machine.guest.address, b"\x02\0\0\0\0\x99")
    machine.segment(Flag.SYN, FIRST)
    assert machine.events() == []


def test_no_timer_without_anything_to_do():
    assert Stack(Network(prefix6=b""), bytes).next_timer() == math.inf


def test_frames_too_short_for_anything(machine):
    machine.frames(*[bytes(length) for length in range(60)])
    assert machine.sent() == []


def test_one_acknowledgment_for_a_batch(make_machine):
    machine = make_machine(head=10)
    machine.segment(Flag.SYN, FIRST)
    [opened] = machine.events()
    opened.flow.accept(machine.now)
    machine.segment(Flag.ACK, FIRST + 1, OURS + 1)
    machine.segments()
    machine.events()
    for number in range(8):
        machine.segment(Flag.ACK, FIRST + 1 + number * 1000, OURS + 1, payload=bytes(1000))
    assert machine.stack.held == 7000  # nobody took what came before
    told = machine.events()
    assert told == [event.DataReceived(opened.flow)] * 8
    opened.flow.consumed(8000)
    [answer] = machine.segments()
    assert (answer.acknowledgment - FIRST) & 0xFFFFFFFF == 8001


def test_unused_memory_is_given_back(machine):
    machine.stack.spare()
    machine.stack.trim()
    assert machine.stack.buffers_in_flight == 0


def test_who_has_an_address(machine):
    stack, guest = machine.stack, machine.guest.address
    assert stack.who_has(guest, machine.now) == b""
    machine.arp()
    assert stack.who_has(guest, machine.now) == machine.mac
    assert stack.who_has(guest, machine.now + stack.limits.neighbour_s) == b""
