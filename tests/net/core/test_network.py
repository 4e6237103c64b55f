from sampan.net.core.network import Network
from sampan.net.wire.address import parse_ip

NETWORK = Network()


def test_what_is_on_the_link():
    for text in ("192.168.65.3", "fdc0:a841:6500::9", "fe80::1"):
        assert NETWORK.on_link(parse_ip(text)), text
    for text in ("192.168.66.3", "8.8.8.8", "fdc0:a841:6501::9", "2001:db8::1", "fe80:1::1"):
        assert not NETWORK.on_link(parse_ip(text)), text


def test_broadcast():
    assert NETWORK.is_broadcast(parse_ip("192.168.65.255"))
    assert NETWORK.is_broadcast(parse_ip("255.255.255.255"))
    for text in ("192.168.65.254", "10.0.0.255", "fe80::1"):
        assert not NETWORK.is_broadcast(parse_ip(text)), text


def test_our_addresses():
    assert NETWORK.gateway6 == parse_ip("fdc0:a841:6500::1")
    assert {NETWORK.gateway, NETWORK.gateway6, NETWORK.link_local6} <= NETWORK.ours
    assert NETWORK.source_for(parse_ip("192.168.65.3")) == NETWORK.gateway
    assert NETWORK.source_for(parse_ip("fe80::5")) == NETWORK.link_local6
    assert NETWORK.source_for(parse_ip("fdc0:a841:6500::5")) == NETWORK.gateway6


def test_network_without_ipv6():
    network = Network(prefix6=b"")
    assert not network.on_link(parse_ip("fe80::1"))
    assert all(len(each) == 4 for each in network.ours)
