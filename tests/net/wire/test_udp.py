import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP

from sampan.net.wire.error import MalformedError
from sampan.net.wire.udp import Udp

A, B = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
A6, B6 = bytes(15) + b"\1", bytes(15) + b"\2"


@given(
    st.integers(0, 65535),
    st.integers(0, 65535),
    st.binary(max_size=99),
    st.sampled_from([(A, B), (A6, B6)]),
)
def test_round_trip(source_port: int, port: int, payload: bytes, pair: tuple[bytes, bytes]) -> None:
    datagram = Udp(source_port, port, payload)
    assert Udp.parse(datagram.emit(*pair), *pair) == datagram


@given(st.binary(max_size=99))
def test_the_checksum_is_scapys(payload: bytes) -> None:
    built = IP(bytes(IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=5, dport=6) / payload))
    assert Udp(5, 6, payload).emit(A, B) == bytes(built[UDP])


def test_no_checksum_is_fine_over_ipv4_only() -> None:
    data = bytearray(Udp(1, 2, b"abc").emit(A, B))
    data[6:8] = b"\0\0"
    assert Udp.parse(data, A, B).payload == b"abc"
    with pytest.raises(MalformedError, match="checksum"):
        Udp.parse(data, A6, B6)


def test_wrong_checksum_and_lengths() -> None:
    data = bytearray(Udp(1, 2, b"abc").emit(A, B))
    data[-1] ^= 1
    with pytest.raises(MalformedError, match="checksum"):
        Udp.parse(data, A, B)
    assert Udp.parse(data, A, B, check=False).payload == b"abb"
    with pytest.raises(MalformedError, match="length"):
        Udp.parse(data[:-1], A, B)
    with pytest.raises(MalformedError, match="7 bytes"):
        Udp.parse(data[:7], A, B)
