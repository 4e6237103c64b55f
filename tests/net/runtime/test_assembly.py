"""A whole network, turned by hand."""

import socket

import pytest

from sampan.errors import UsageError
from sampan.net.runtime.assembly import Assembly
from sampan.net.runtime.attach.memory import MemoryLink
from sampan.net.runtime.loop import Loop
from sampan.net.services.forward import Forward
from sampan.net.setting import Fixed, Settings
from sampan.net.wire.address import parse_ip


@pytest.fixture
def make():
    made = []

    def assembly(**fields):
        made.append(Assembly(Loop(), Settings(**fields)))
        return made[-1]

    yield assembly
    for each in made:
        each.close()
        each.engine.loop.close()


def test_forwards_of_the_settings_listen(make):
    (forward,) = make(forwards=(Forward(guest_port=80),)).forwards()
    with socket.create_connection((forward.bind, forward.port)):
        pass


def test_forwards_come_and_go(make):
    network = make()
    forward = network.expose(Forward(guest_port=80))
    assert network.unexpose(forward) == forward
    assert network.forwards() == ()


def test_a_machine_with_a_fixed_address_is_known_beforehand(make):
    network = make(fixed=(Fixed(mac="02:00:00:00:00:01", address="192.168.65.9"),))
    assert network.directory.find("") == parse_ip("192.168.65.9")


def test_links(make):
    network = make()
    plug = network.plug(MemoryLink(lambda _: None), name="a")
    assert list(network.engine.plugs.values()) == [plug]
    network.unplug(plug)
    assert not network.engine.plugs


def test_settings_that_make_no_sense():
    loop = Loop()
    with pytest.raises(UsageError):
        Assembly(loop, Settings(mtu=1))
    loop.close()
