"""Which machine somebody means."""

import pytest

from sampan.net.core.event import NeighbourLearned
from sampan.net.core.limit import Limits
from sampan.net.core.network import Network
from sampan.net.core.port import Port
from sampan.net.runtime.directory import Directory
from sampan.net.wire.address import parse_ip

A, B = b"\2\0\0\0\0\1", b"\2\0\0\0\0\2"


@pytest.fixture
def port():
    return Port(1, Limits())


@pytest.fixture
def directory():
    names = {"web": (parse_ip("192.168.65.7"),)}
    return Directory(Network(), lambda name: names.get(name, ()))


def hear(directory, port, mac, address):
    directory.heard(NeighbourLearned(port, parse_ip(address), mac), 0.0)


def test_the_only_machine_has_no_need_for_a_name(directory, port):
    assert directory.find("") is None
    hear(directory, port, A, "192.168.65.5")
    assert directory.find("") == parse_ip("192.168.65.5")
    hear(directory, port, B, "192.168.65.6")
    assert directory.find("") is None


def test_a_machine_is_expected_before_it_speaks(directory):
    directory.expect(A, parse_ip("192.168.65.9"))
    assert directory.find("") == parse_ip("192.168.65.9")


def test_ipv4_is_preferred_and_a_new_address_replaces_the_old(directory, port):
    hear(directory, port, A, "fe80::1")
    assert directory.machines == ()
    hear(directory, port, A, "fdc0:a841:6500::5")
    assert directory.find("") == parse_ip("fdc0:a841:6500::5")
    hear(directory, port, A, "192.168.65.5")
    hear(directory, port, A, "fdc0:a841:6500::5")
    assert directory.find("") == parse_ip("192.168.65.5")
    hear(directory, port, A, "192.168.65.8")
    assert directory.find("") == parse_ip("192.168.65.8")


def test_names_and_addresses(directory):
    assert directory.find("web") == parse_ip("192.168.65.7")
    assert directory.find("nobody") is None
    assert directory.find("192.168.65.77") == parse_ip("192.168.65.77")
    assert directory.find("8.8.8.8") is None


def test_machines_elsewhere_are_nobody(directory, port):
    hear(directory, port, A, "10.0.0.1")
    assert directory.machines == ()


def test_a_machine_goes_with_its_link(directory, port):
    hear(directory, port, A, "192.168.65.5")
    directory.unplugged(port)
    assert directory.find("") is None
