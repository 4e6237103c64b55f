import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.net.core.network import Network
from sampan.net.runtime.host.route import (
    HostAccess,
    Router,
    Target,
    is_global_unicast,
    other_loopback,
)

NETWORK = Network()
HOST = bytes([192, 168, 65, 254])
HOST6 = NETWORK.prefix6 + bytes(7) + b"\xfe"
OWN = bytes([10, 1, 2, 3])


def packed(text):
    return ipaddress.ip_address(text).packed


@pytest.fixture(params=HostAccess)
def router(request):
    return Router(NETWORK, frozenset({HOST, HOST6}), request.param, frozenset({OWN}))


def test_whoever_is_outside_has_their_own_address(router):
    assert router.target(packed("93.184.216.34")) == Target(socket.AF_INET, "93.184.216.34")
    assert router.target(packed("2606:2800::1")) == Target(socket.AF_INET6, "2606:2800::1")
    assert router.target(packed("10.0.0.9")) == Target(socket.AF_INET, "10.0.0.9")


def test_the_host_by_its_address_on_the_network(router):
    allowed = router.access is not HostAccess.NONE
    assert router.target(HOST) == (Target(socket.AF_INET, "127.0.0.1") if allowed else None)
    assert router.target(HOST6) == (Target(socket.AF_INET6, "::1") if allowed else None)


def test_the_host_by_an_address_of_its_own(router):
    allowed = router.access is HostAccess.ALL
    assert router.target(OWN) == (Target(socket.AF_INET, "10.1.2.3") if allowed else None)


def test_the_host_s_real_addresses_are_known_by_default():
    router = Router(NETWORK, frozenset(), HostAccess.LOOPBACK)
    assert bytes([127, 0, 0, 1]) in router.own


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1", "127.255.255.254", "0.0.0.0", "224.0.0.1", "255.255.255.255", "169.254.1.1",
        "192.168.65.1", "::1", "::", "ff02::1", "fe80::1", "::ffff:127.0.0.1",
        "fdc0:a841:6500::1", "0.1.2.3", "239.1.1.1", "febf::1",
    ],
)  # fmt: skip
def test_who_is_nobody(router, text):
    assert router.target(packed(text)) is None


def test_link_local_and_such_are_never_outside():
    assert is_global_unicast(packed("1.1.1.1"))
    assert not is_global_unicast(packed("::ffff:1.1.1.1"))


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_the_standard_library_agrees(address):
    mapped = getattr(address, "ipv4_mapped", None) is not None
    nobody = (
        address.is_loopback or address.is_multicast or address.is_unspecified
        or address.is_link_local or mapped or address.packed == b"\xff" * 4
        or (address.version == 4 and address.packed[0] == 0)
    )  # fmt: skip
    assert is_global_unicast(address.packed) is not nobody


def test_the_loopback_interface_by_the_other_family():
    four, six = Target(socket.AF_INET, "127.0.0.1"), Target(socket.AF_INET6, "::1")
    assert (other_loopback(four), other_loopback(six)) == (six, four)
    assert other_loopback(Target(socket.AF_INET, "192.0.2.1")) is None
