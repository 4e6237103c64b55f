import pytest

from sampan.net.core.endpoint import Endpoint
from sampan.net.runtime.service.name import MAX_ADDRESSES, Names
from sampan.net.services.lease import Lease
from sampan.net.wire.address import parse_ip

SOMEBODY = Endpoint(bytes([192, 0, 2, 9]), 9)
PREFIX = bytes.fromhex("fdc0a84165000000")


@pytest.fixture
def names(net, book):
    return Names(net.engine, book, {}, "sampan.internal")


def lease(machine, name="", ip="192.168.65.3"):
    return Lease(machine.mac, parse_ip(ip), 1e9, name)


def speak(machine, source=None):
    machine.udp(b"", SOMEBODY, source=source)


def test_machine_that_merely_speaks_has_its_links_name(net, names, resolve):
    net.machine.plug.name = "build.box"
    assert resolve("build") is None
    speak(net.machine)
    assert resolve("build.sampan.internal") == (net.machine.ip,)
    assert names.link(net.machine.mac) == "build.box"


def test_addresses_of_both_families(net, names, resolve):
    net.machine.plug.name = "web"
    six = PREFIX + bytes(7) + b"\x33"
    names.leased((lease(net.machine),))
    to = Endpoint(parse_ip("2001:db8::1"), 9)
    net.machine.udp(b"", to, source=six)
    net.machine.udp(b"", to, source=parse_ip("fe80::33"))
    assert resolve("web") == (net.machine.ip, six)
    assert names.addresses(net.machine.mac) == (net.machine.ip, six)


def test_who_has_a_name_first_keeps_it(net, names, resolve):
    other = net.add(parse_ip("192.168.65.4"))
    net.machine.plug.name = "web"
    speak(net.machine)
    names.leased((lease(other, "web", "192.168.65.4"),))
    assert resolve("web") == (net.machine.ip,)
    names.fix(other.mac, "web")
    assert resolve("web") == (other.ip,)


@pytest.mark.parametrize("name", ["host", "gateway", "wpad", "localhost", "a b", "-x", "", "ü"])
def test_names_that_no_machine_has(net, names, resolve, name):
    before = resolve("host.sampan.internal"), resolve("gateway.sampan.internal")
    names.leased((lease(net.machine, name),))
    assert (resolve("host.sampan.internal"), resolve("gateway.sampan.internal")) == before
    assert resolve("wpad") is None


def test_link_is_gone(net, names, resolve):
    net.machine.plug.name = "web"
    speak(net.machine)
    net.engine.unplug(net.machine.plug)
    assert names.link(net.machine.mac) == ""
    names.refresh()
    assert resolve("web.sampan.internal") == ()


def test_addresses_are_bounded(net, names):
    for number in range(20):
        speak(net.machine, bytes([192, 168, 65, 30 + number]))
    assert len(names.addresses(net.machine.mac)) == MAX_ADDRESSES
