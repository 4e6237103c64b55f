import socket

import pytest

from sampan.errors import UnsupportedError, UsageError
from sampan.machine import exposure
from sampan.machine.driver import Capability
from sampan.machine.drivers.fake import FakeDriver
from sampan.machine.forward import Forward
from sampan.machine.model import Network
from sampan.machine.port import PortError
from sampan.machine.testing import spec

WEB, DNS = Forward.parse("18080:80"), Forward.parse("0.0.0.0:18053:53/udp")


def test_whose_ports_can_be():
    exposure.check(FakeDriver(), spec())


@pytest.mark.parametrize(
    ("network", "interface", "instead"),
    [
        (Network.VHOST_USER, "", "UserNetwork.expose, or `sampan net expose`"),
        (Network.STREAM, "", "UserNetwork.expose, or `sampan net expose`"),
        (Network.TAP, "tap0", "by its own address"),
        (Network.NONE, "", "give the machine a network"),
    ],
)
def test_other_networks_say_what_to_do(network, interface, instead):
    with pytest.raises(UnsupportedError, match=f"on the network {network} cannot do") as caught:
        exposure.check(FakeDriver(), spec(network=network, interface=interface))
    assert instead in (caught.value.hint or "")


def test_a_driver_that_cannot():
    driver = FakeDriver(capabilities=frozenset(Capability) - {Capability.EXPOSE})
    with pytest.raises(UnsupportedError, match="fake cannot do expose"):
        exposure.check(driver, spec())


def test_any_free_port_may_be_added_again_and_again():
    wanted = Forward.parse("0:80")
    assert exposure.admitted((WEB, DNS), wanted) == wanted


def test_a_port_is_not_published_twice():
    with pytest.raises(PortError, match="host port 18080/tcp is published already, to port 80"):
        exposure.admitted((DNS, WEB), Forward.parse("18080:81"))


def test_a_port_of_somebody_else():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(PortError, match=f"host port {number}/tcp is already in use"):
            exposure.admitted((), Forward(host_port=number, guest_port=80))


@pytest.mark.parametrize(
    "wanted",
    [
        Forward(host_port=70000, guest_port=80),
        Forward(host_port=0, guest_port=0),
        Forward(host_port=0, guest_port=80, bind="127.0.0.1\nquit"),
    ],
)
def test_what_is_no_port_or_address(wanted):
    with pytest.raises(UsageError, match="cannot publish"):
        exposure.admitted((), wanted)


def test_it_is_found_by_where_it_listens():
    assert exposure.found((WEB, DNS), Forward.parse("0.0.0.0:18053:99/udp")) == DNS
    for text in ("18053:53/udp", "0.0.0.0:18053:53", "0:80"):
        with pytest.raises(PortError, match="nothing is published on") as caught:
            exposure.found((WEB, DNS), Forward.parse(text))
        assert "vm.forwards" in (caught.value.hint or "")
