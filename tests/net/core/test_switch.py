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
    for each in ports:
        made.add(each)
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
    switch.add(port)
    assert send(switch, port, ALL, B) == []
    assert send(switch, port, ALL, A) == [0, 1, 2]


def test_stations_of_a_port_are_bounded(switch, ports):
    heard = [send(switch, ports[0], ALL, bytes([2, 1, 0, 0, 0, n])) for n in range(10)]
    assert sum(map(bool, heard)) == 4


def test_a_port_has_its_station_though_somebody_else_took_it(switch, ports):
    """Whoever guesses the MAC of a machine that is yet to come does not keep it from the network."""
    send(switch, ports[0], ALL, A)
    port = Port(7, Limits(), mac=A)
    switch.add(port)
    assert (ports[0].stations, port.stations) == (0, 1)
    assert send(switch, ports[0], ALL, A) == []
    assert send(switch, port, ALL, A) == [0, 1, 2]
    assert send(switch, ports[1], A, B) == [7]
    switch.remove(port)
    assert send(switch, ports[0], ALL, A) == [1, 2]


@pytest.mark.parametrize("mac", [OWN, ALL])
def test_a_port_for_a_station_that_nobody_has(switch, mac):
    port = Port(7, Limits(), mac=mac)
    switch.add(port)
    assert switch.stations == {}
    assert send(switch, port, B, mac) == []
