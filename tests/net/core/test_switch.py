import pytest

from sampan.net.core.limit import Limits
from sampan.net.core.port import Port
from sampan.net.core.switch import Switch

OWN, A, B, C = (bytes([2, 0, 0, 0, 0, number]) for number in (9, 1, 2, 3))
ALL = b"\xff" * 6


@pytest.fixture
def ports():
    return [Port(number, Limits()) for number in range(3)]


@pytest.fixture
def switch(ports):
    made = Switch(OWN, Limits(addresses=4))
    made.ports += ports
    return made


def send(switch, port, to, source):
    frame = to + source + b"\x08\0payload"
    if switch.admits(port, source):
        switch.forward(port, to, memoryview(frame))
    got = [each.number for each in switch.ports if each.outgoing]
    for each in switch.ports:
        each.outgoing.clear()
    return got


def test_unknown_goes_everywhere_and_known_to_its_port(switch, ports):
    assert send(switch, ports[0], B, A) == [1, 2]
    assert send(switch, ports[1], A, B) == [0]
    assert send(switch, ports[0], B, A) == [1]
    assert send(switch, ports[2], ALL, C) == [0, 1]


def test_not_back_where_it_came_from(switch, ports):
    send(switch, ports[0], ALL, A)
    assert send(switch, ports[0], A, B) == []


@pytest.mark.parametrize("source", [OWN, ALL, bytes(6), b"\x01\0\x5e\0\0\1"])
def test_sources_that_nobody_has(switch, ports, source):
    assert send(switch, ports[0], ALL, source) == []


def test_spoofed_source(switch, ports):
    send(switch, ports[0], ALL, A)
    assert send(switch, ports[1], ALL, A) == []
    switch.remove(ports[0])
    assert send(switch, ports[1], ALL, A) == [2]


def test_port_of_one_station(switch):
    port = Port(7, Limits(), mac=A)
    switch.ports.append(port)
    assert send(switch, port, ALL, B) == []
    assert send(switch, port, ALL, A) == [0, 1, 2]


def test_stations_of_a_port_are_bounded(switch, ports):
    heard = [send(switch, ports[0], ALL, bytes([2, 1, 0, 0, 0, n])) for n in range(10)]
    assert sum(map(bool, heard)) == 4
