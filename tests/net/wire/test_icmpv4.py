import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP

from sampan.net.wire import icmpv4
from sampan.net.wire.error import MalformedError
from sampan.net.wire.icmpv4 import DestinationUnreachable, Echo, TimeExceeded, Unreachable

words = st.integers(0, 0xFFFF)
messages = (
    st.builds(Echo, st.booleans(), words, words, st.binary(max_size=64))
    | st.builds(DestinationUnreachable, st.sampled_from(Unreachable), st.binary(max_size=64), words)
    | st.builds(TimeExceeded, st.integers(0, 1), st.binary(max_size=64))
)


@given(messages)
def test_round_trip_and_scapys_checksum(message: icmpv4.Message) -> None:
    data = message.emit()
    assert icmpv4.parse(data) == message
    layer = ICMP(data)
    del layer.chksum
    assert bytes(layer) == data


def test_scapy_reads_the_mtu() -> None:
    seen = ICMP(DestinationUnreachable(Unreachable.FRAGMENTATION_NEEDED, b"q" * 28, 1400).emit())
    assert (seen.type, seen.code, seen.nexthopmtu) == (3, 4, 1400)


def test_an_error_quotes_no_more_than_fits() -> None:
    assert (
        len(DestinationUnreachable(Unreachable.PORT, bytes(1500)).emit()) == 8 + icmpv4.QUOTE_LENGTH
    )


@pytest.mark.parametrize(
    "data", [b"", bytes(7), bytes([13, 0, 0xF2, 0xFF, 0, 0, 0, 0]), b"\x08\0\0\0\0\0\0\0"]
)
def test_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        icmpv4.parse(data)
