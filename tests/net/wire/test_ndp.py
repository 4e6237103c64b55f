import pytest
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_RS,
    ICMPv6NDOptMTU,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptRDNSS,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)

from sampan.net.wire import ndp
from sampan.net.wire.address import parse_ip
from sampan.net.wire.error import MalformedError
from sampan.net.wire.icmpv6 import Kind, Message

A, B = parse_ip("fe80::1"), parse_ip("fe80::2")
MAC = bytes.fromhex("02005e100001")


def as_scapy(message: Message) -> IPv6:
    data = message.emit(A, B)
    return IPv6(bytes(IPv6(src="fe80::1", dst="fe80::2", nh=58, hlim=255) / data))


@pytest.mark.parametrize(
    "meaning",
    [
        ndp.Solicitation(B, MAC),
        ndp.Solicitation(B),
        ndp.Advertisement(A, MAC, router=True, solicited=True, override=True),
        ndp.Advertisement(A),
        ndp.RouterSolicitation(MAC),
        ndp.RouterSolicitation(),
    ],
    ids=str,
)
def test_round_trip(meaning: ndp.Solicitation | ndp.Advertisement | ndp.RouterSolicitation) -> None:
    assert ndp.parse(meaning.message()) == meaning


def test_scapy_reads_a_solicitation_and_an_advertisement() -> None:
    seen = as_scapy(ndp.Solicitation(B, MAC).message())
    assert seen[ICMPv6ND_NS].tgt == "fe80::2"
    assert seen[ICMPv6NDOptSrcLLAddr].lladdr == "02:00:5e:10:00:01"
    seen = as_scapy(ndp.Advertisement(A, MAC, router=True, solicited=True).message())
    assert (seen[ICMPv6ND_NA].R, seen[ICMPv6ND_NA].S, seen[ICMPv6ND_NA].O) == (1, 1, 0)


def test_scapy_reads_a_router_advertisement() -> None:
    seen = as_scapy(
        ndp.RouterAdvertisement(
            MAC, 1800, parse_ip("fd00::"), 3600, mtu=1500, resolvers=(A, B), resolver_lifetime_s=600
        ).message()
    )
    assert (seen[ICMPv6ND_RA].routerlifetime, seen[ICMPv6ND_RA].chlim) == (1800, 64)
    prefix = seen[ICMPv6NDOptPrefixInfo]
    assert (prefix.prefix, prefix.prefixlen, prefix.L, prefix.A) == ("fd00::", 64, 1, 1)
    assert prefix.validlifetime == 3600
    assert seen[ICMPv6NDOptMTU].mtu == 1500
    assert seen[ICMPv6NDOptRDNSS].dns == ["fe80::1", "fe80::2"]


def test_we_read_scapys_router_solicitation() -> None:
    built = IPv6(
        bytes(
            IPv6(src="fe80::1", dst="ff02::2")
            / ICMPv6ND_RS()
            / ICMPv6NDOptSrcLLAddr(lladdr="02:00:5e:10:00:01")
        )
    )
    message = Message.parse(bytes(built.payload), A, parse_ip("ff02::2"))
    assert ndp.parse(message) == ndp.RouterSolicitation(MAC)


@pytest.mark.parametrize(
    "message",
    [
        Message(Kind.ECHO, 0, 0, b""),
        Message(Kind.NEIGHBOUR_SOLICITATION, 0, 0, bytes(15)),
        Message(Kind.NEIGHBOUR_SOLICITATION, 0, 0, bytes(16) + b"\x01\x00" + bytes(6)),
        Message(Kind.NEIGHBOUR_SOLICITATION, 0, 0, bytes(16) + b"\x01\x02" + bytes(6)),
        Message(Kind.ROUTER_SOLICITATION, 0, 0, b"\x01\x01"),
    ],
    ids=["not discovery", "no target", "empty option", "option runs past", "cut option"],
)
def test_malformed(message: Message) -> None:
    with pytest.raises(MalformedError):
        ndp.parse(message)
