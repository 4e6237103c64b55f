import pytest

from sampan.net.core.endpoint import Endpoint
from sampan.net.runtime.host.route import Target
from sampan.net.runtime.service.proxied import Trip, _split
from sampan.net.services.proxy import Settings
from sampan.net.wire.address import format_ip, parse_ip


def make_trip(address="192.0.2.80", names=(), permit=lambda name: True):
    remote = Endpoint(parse_ip(address), 80)
    return Trip(Settings(), remote, Target(2, format_ip(remote.address)), names, permit)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("www.example.com", "www.example.com", None),
        ("www.example.com:8080", "www.example.com", 8080),
        ("www.example.com:", "www.example.com", None),
        ("www.example.com:x", "www.example.com", -1),
        ("[::1]", "::1", None),
        ("[::1]:80", "::1", 80),
        ("::1", "::1", None),
        ("", "", None),
    ],
)
def test_split(text, host, port):
    assert _split(text) == (host, port)


def test_fallback():
    assert make_trip().fallback == "192.0.2.80"
    assert make_trip("2001:db8::1").fallback == "[2001:db8::1]"
    assert make_trip(names=("www.example.com", "cdn.example.net")).fallback == "www.example.com"


@pytest.mark.parametrize(
    ("authority", "admitted"),
    [
        ("www.example.com", True),
        ("www.example.com.", True),
        ("www.example.com:80", True),
        ("www.example.com:443", False),
        ("2001:db8::1", True),
        ("[2001:db8:0::1]", True),
        ("[2001:db8::2]", False),
        ("192.0.2.80", False),
        ("LOCALHOST", False),
        ("a.localhost.", False),
        ("127.1", False),
        ("0x7f.0.0.0x1", False),
        ("", False),
    ],
)
def test_admits(authority, admitted):
    assert make_trip("2001:db8::1").admits(authority, 80) is admitted


def test_admits_asks_for_names():
    trip = make_trip(permit=lambda name: name == "www.example.com")
    assert trip.admits("WWW.example.com", 80)
    assert not trip.admits("example.com", 80)
