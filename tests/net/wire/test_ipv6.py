import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop

from sampan.net.wire.address import parse_ip
from sampan.net.wire.error import MalformedError
from sampan.net.wire.ipv6 import Ipv6

A, B = parse_ip("fd00::1"), parse_ip("fd00::2")


@given(
    st.builds(
        Ipv6,
        source=st.binary(min_size=16, max_size=16),
        destination=st.binary(min_size=16, max_size=16),
        protocol=st.sampled_from([6, 17, 58, 59]),
        payload=st.binary(max_size=64),
        hop_limit=st.integers(0, 255),
        traffic_class=st.integers(0, 255),
        flow_label=st.integers(0, 0xFFFFF),
    )
)
def test_round_trip(packet: Ipv6) -> None:
    assert Ipv6.parse(packet.emit()) == packet


def test_scapy_agrees() -> None:
    seen = IPv6(Ipv6(A, B, 17, b"z" * 8, 9, 4, 5).emit())
    assert (seen.src, seen.dst, seen.nh, seen.hlim, seen.tc, seen.fl) == (
        "fd00::1",
        "fd00::2",
        17,
        9,
        4,
        5,
    )


def test_extension_headers_are_skipped() -> None:
    built = (
        IPv6(src="fd00::1", dst="fd00::2")
        / IPv6ExtHdrHopByHop()
        / IPv6ExtHdrDestOpt()
        / UDP(sport=1, dport=2)
    )
    packet = Ipv6.parse(bytes(built))
    assert packet.protocol == 17
    assert packet.payload[:4] == bytes([0, 1, 0, 2])


def test_fragments() -> None:
    built = (
        IPv6(src="fd00::1", dst="fd00::2")
        / IPv6ExtHdrFragment(nh=17, offset=2, m=1, id=7)
        / (b"q" * 16)
    )
    packet = Ipv6.parse(bytes(built))
    assert (packet.offset, packet.more_fragments, packet.identification) == (16, True, 7)
    assert packet.is_fragment
    assert Ipv6.parse(packet.emit()) == packet


@pytest.mark.parametrize(
    "data",
    [
        bytes(39),
        b"\x40" + bytes(39),
        b"\x60\0\0\0\0\x01" + bytes(34),
        bytes(Ipv6(A, B, 0, b"\x3b\x05" + bytes(6)).emit()),
        bytes(Ipv6(A, B, 44, b"\x3b").emit()),
        bytes(Ipv6(A, B, 0, (b"\0\0" + bytes(6)) * 20).emit()),
    ],
    ids=["short", "version", "length", "extension runs past", "cut fragment header", "too many"],
)
def test_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        Ipv6.parse(data)
