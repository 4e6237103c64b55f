import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6

from sampan.net.wire.address import parse_ip
from sampan.net.wire.error import MalformedError
from sampan.net.wire.icmpv6 import Kind, Message

A, B = parse_ip("fd00::1"), parse_ip("fd00::2")


@given(
    st.builds(
        Message,
        st.integers(0, 255),
        st.integers(0, 255),
        st.integers(0, 2**32 - 1),
        st.binary(max_size=64),
    )
)
def test_round_trip(message: Message) -> None:
    assert Message.parse(message.emit(A, B), A, B) == message


def test_scapy_builds_the_same_bytes() -> None:
    built = IPv6(
        bytes(IPv6(src="fd00::1", dst="fd00::2") / ICMPv6EchoRequest(id=5, seq=6, data=b"hello"))
    )
    assert Message(Kind.ECHO, 0, 5 << 16 | 6, b"hello").emit(A, B) == bytes(built.payload)


def test_short_or_broken() -> None:
    with pytest.raises(MalformedError, match="7 bytes"):
        Message.parse(bytes(7), A, B)
    data = bytearray(Message(Kind.ECHO, 0, 1, b"abc").emit(A, B))
    data[-1] ^= 1
    with pytest.raises(MalformedError, match="checksum"):
        Message.parse(data, A, B)
