import pytest
from scapy.utils6 import in6_getnsma, in6_getnsmac, in6_mactoifaceid

from sampan.net.wire import address


def test_mac_text_and_bytes() -> None:
    raw = address.parse_mac("02:00:5E-10-00-01")
    assert raw == bytes.fromhex("02005e100001")
    assert address.format_mac(raw) == "02:00:5e:10:00:01"


@pytest.mark.parametrize("text", ["", "02:00:5e:10:00", "02:00:5e:10:00:0g", "02005e100001"])
def test_what_is_no_mac(text: str) -> None:
    with pytest.raises(ValueError, match="not a MAC"):
        address.parse_mac(text)


@pytest.mark.parametrize("text", ["192.168.65.1", "fe80::1", "::"])
def test_ip_text_and_bytes(text: str) -> None:
    assert address.format_ip(address.parse_ip(text)) == text


def test_multicast() -> None:
    assert address.is_multicast(address.parse_ip("224.0.0.1"))
    assert address.is_multicast(address.ALL_NODES_IPV6)
    assert not address.is_multicast(address.parse_ip("192.168.65.1"))
    assert address.is_multicast_mac(address.BROADCAST_MAC)
    assert not address.is_multicast_mac(bytes.fromhex("02005e100001"))
    assert address.multicast_mac(address.parse_ip("239.129.2.3")) == bytes.fromhex("01005e010203")


def test_ipv6_formulas_against_scapy() -> None:
    raw = address.parse_ip("fe80::1234:5678:9abc:def0")
    group = address.solicited_node(raw)
    assert group == in6_getnsma(raw)
    assert address.format_mac(address.multicast_mac(group)) == in6_getnsmac(group)
    mac = "02:00:5e:10:00:01"
    expected = address.parse_ip("fe80::" + in6_mactoifaceid(mac))
    assert address.link_local(address.parse_mac(mac)) == expected
