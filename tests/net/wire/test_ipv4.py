from collections.abc import Callable
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP

from sampan.net.wire.error import MalformedError
from sampan.net.wire.ipv4 import Ipv4, Protocol

Refuses: TypeAlias = Callable[[Callable[[bytes], object], bytes], None]

PACKET = Ipv4(bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]), Protocol.UDP, b"x" * 16)


@given(
    st.builds(
        Ipv4,
        source=st.binary(min_size=4, max_size=4),
        destination=st.binary(min_size=4, max_size=4),
        protocol=st.integers(0, 255),
        payload=st.binary(max_size=64),
        hop_limit=st.integers(0, 255),
        identification=st.integers(0, 0xFFFF),
        dont_fragment=st.booleans(),
        more_fragments=st.booleans(),
        offset=st.integers(0, 8000).map(lambda n: n * 8),
        traffic_class=st.integers(0, 255),
        options=st.sampled_from([b"", b"\x01" * 4, b"\x07\x07\x04\0\0\0\0\0"]),
    )
)
def test_round_trip(packet: Ipv4) -> None:
    assert Ipv4.parse(packet.emit()) == packet


def test_scapy_agrees_on_every_field() -> None:
    data = Ipv4(
        PACKET.source, PACKET.destination, 17, b"y" * 8, 3, 77, more_fragments=True, offset=1480
    ).emit()
    seen = IP(data)
    assert (seen.ttl, seen.id, seen.frag, str(seen.flags)) == (3, 77, 185, "MF")
    del seen.chksum
    assert bytes(seen) == data


def test_padding_is_ignored() -> None:
    assert Ipv4.parse(PACKET.emit() + bytes(20)) == PACKET


def test_checksum_is_checked_unless_told_not_to() -> None:
    broken = bytearray(PACKET.emit())
    broken[8] ^= 1
    with pytest.raises(MalformedError, match="checksum"):
        Ipv4.parse(broken)
    assert Ipv4.parse(broken, check=False).hop_limit == 65


@pytest.mark.parametrize(
    ("at", "value"), [(0, 0x65), (0, 0x44), (0, 0x4F), (2, 0xFF), (3, 4)],
    ids=["version", "short header", "long header", "long total", "short total"],
)  # fmt: skip
def test_lengths_that_do_not_fit(at: int, value: int) -> None:
    data = bytearray(PACKET.emit())
    data[at] = value
    with pytest.raises(MalformedError, match="lengths"):
        Ipv4.parse(data, check=False)


def test_a_fragment_beyond_the_largest_packet() -> None:
    with pytest.raises(MalformedError, match="65535"):
        Ipv4.parse(Ipv4(PACKET.source, PACKET.destination, 17, b"x" * 64, offset=65528).emit())


def test_every_cut_is_refused_or_parsed(refuses: Refuses) -> None:
    refuses(Ipv4.parse, PACKET.emit())
