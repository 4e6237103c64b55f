from collections.abc import Callable
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP

from sampan.net.wire.error import MalformedError
from sampan.net.wire.tcp import Flag, Options, Segment

Refuses: TypeAlias = Callable[[Callable[[bytes], object], bytes], None]

A, B = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
longs = st.integers(0, 0xFFFFFFFF)
words = st.integers(0, 0xFFFF)

options = st.builds(
    Options,
    mss=st.none() | words,
    window_shift=st.none() | st.integers(0, 14),
    sack_permitted=st.booleans(),
    timestamp=st.none() | st.tuples(longs, longs),
    sack=st.lists(st.tuples(longs, longs), max_size=1).map(tuple),
)
segments = st.builds(
    Segment, words, words, longs, longs, st.integers(0, 255).map(Flag), words, options, st.binary(max_size=40), words
)  # fmt: skip


@given(segments)
def test_round_trip(segment: Segment) -> None:
    assert Segment.parse(segment.emit(A, B), A, B) == segment


@given(segments)
def test_scapy_computes_the_same_checksum(segment: Segment) -> None:
    data = segment.emit(A, B)
    layer = IP(src="10.0.0.1", dst="10.0.0.2", proto=6) / TCP(data)
    del layer[TCP].chksum
    assert bytes(layer[TCP]) == data


def test_options_that_linux_sends_in_a_syn() -> None:
    built = TCP(
        options=[
            ("MSS", 1460),
            ("SAckOK", b""),
            ("Timestamp", (7, 0)),
            ("NOP", None),
            ("WScale", 7),
        ]
    )
    data = bytes(built)[20:]
    found = Options.parse(data)
    assert found == Options(1460, 7, sack_permitted=True, timestamp=(7, 0))
    assert found.emit() == data


def test_the_common_layout_of_timestamps_is_read_alike() -> None:
    data = Options(timestamp=(1, 2)).emit()
    assert len(data) == 12
    assert Options.parse(data) == Options.parse(data + b"\0\0\0\0") == Options(timestamp=(1, 2))


def test_unknown_and_misshapen_options_are_skipped() -> None:
    assert Options.parse(b"\xfd\x04ab\x02\x03\x05\x02\x04\x05\xb4") == Options()
    assert Options.parse(b"\x02\x04\x05\xb4\x02\x04\0\0") == Options(mss=1460), "the first counts"


@pytest.mark.parametrize("data", [b"\x02", b"\x02\x00", b"\x02\x01", b"\x02\x05ab"])
def test_options_that_run_past_the_header(data: bytes) -> None:
    with pytest.raises(MalformedError, match="option"):
        Options.parse(data)


def test_length_counts_syn_and_fin() -> None:
    assert Segment(1, 2, 0, 0, Flag.SYN | Flag.FIN, 0, payload=b"ab").length == 4


def test_offload_leaves_the_pseudo_sum_for_the_device() -> None:
    segment = Segment(1, 2, 3, 4, Flag.ACK, 5, payload=b"abc")
    data = segment.emit(A, B, offload=True)
    assert Segment.parse(data, A, B, check=False) == segment
    with pytest.raises(MalformedError, match="checksum"):
        Segment.parse(data, A, B)


@pytest.mark.parametrize("offset", [0x40, 0xF0])
def test_header_lengths_that_do_not_fit(offset: int) -> None:
    data = bytearray(Segment(1, 2, 3, 4, Flag.ACK, 5).emit(A, B))
    data[12] = offset
    with pytest.raises(MalformedError, match="header length"):
        Segment.parse(data, A, B, check=False)


def test_every_cut_is_refused_or_parsed(refuses: Refuses) -> None:
    data = Segment(1, 2, 3, 4, Flag.SYN, 5, Options(1460, 7, sack_permitted=True)).emit(A, B)
    refuses(lambda cut: Segment.parse(cut, A, B, check=False), data)
