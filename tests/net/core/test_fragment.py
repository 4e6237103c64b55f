import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.net.core.fragment import Reassembler, cut4, cut6
from sampan.net.core.limit import Limits
from sampan.net.wire.ipv4 import Ipv4
from sampan.net.wire.ipv6 import Ipv6

A, B = bytes(4), b"\1\2\3\4"


@given(st.integers(0, 20_000), st.integers(576, 9000), st.randoms(use_true_random=False), st.booleans())  # fmt: skip
def test_cut_and_joined_in_any_order(size, mtu, rng, six):
    payload = bytes(number & 255 for number in range(size))
    whole: Any
    parts: list[Any]
    if six:
        whole = Ipv6(A * 4, B * 4, 17, payload, identification=7)
        parts = list(cut6(whole, mtu))
    else:
        whole = Ipv4(A, B, 17, payload, identification=7)
        parts = list(cut4(whole, mtu))
    assert all(len(part.emit()) <= mtu for part in parts)
    if len(parts) == 1:
        assert parts == [whole]
        return
    rng.shuffle(parts)
    reassembler = Reassembler(Limits())
    results = [reassembler.add(part, 1.0) for part in parts]
    assert results[:-1] == [None] * (len(parts) - 1)
    assert results[-1] == whole
    assert (len(reassembler), reassembler.size) == (0, 0)


def part(offset, data, more=True, ident=1):
    return Ipv4(A, B, 17, data, identification=ident, offset=offset, more_fragments=more)


@pytest.mark.parametrize(
    "parts",
    [
        [part(0, bytes(16)), part(8, bytes(16))],  # overlap
        [part(0, bytes(16)), part(0, b"x" * 16)],  # other content
        [part(0, bytes(9))],  # not a multiple of 8
        [part(8, b"", False)],
        [part(16, bytes(8), False), part(24, bytes(8))],  # beyond the end
        [part(16, bytes(8)), part(8, bytes(8), False)],  # an end before what there is
        [part(16, bytes(8), False), part(32, bytes(8), False)],  # two ends
    ],
)
def test_contradictions_cost_the_packet(parts):
    reassembler = Reassembler(Limits())
    assert [reassembler.add(each, 1.0) for each in parts] == [None] * len(parts)
    assert (len(reassembler), reassembler.size) == (0, 0)


def test_pieces_of_a_packet_are_bounded():
    """Each is compared with all others: nobody needs so many."""
    reassembler = Reassembler(Limits())
    for number in range(256):
        reassembler.add(part(8 * number, bytes(8)), 1.0)
    assert len(reassembler) == 1
    reassembler.add(part(8 * 256, bytes(8)), 1.0)
    assert (len(reassembler), reassembler.size) == (0, 0)


def test_duplicates_are_ignored():
    reassembler = Reassembler(Limits())
    reassembler.add(part(0, bytes(8)), 1.0)
    reassembler.add(part(0, bytes(8)), 1.0)
    assert reassembler.add(part(8, b"end", False), 1.0).payload == bytes(8) + b"end"


def test_time_and_number_are_bounded():
    limits = Limits(fragmented_packets=4, fragments_total=1000, fragment_s=15)
    reassembler = Reassembler(limits)
    for number in range(100):
        reassembler.add(part(0, bytes(8), ident=number), 1.0 + number)
    assert len(reassembler) == 4
    assert reassembler.next_timer() == 97.0 + 15
    reassembler.timer_fired(98.0 + 15)
    assert len(reassembler) == 2
    reassembler.add(part(0, bytes(800), ident=500), 101.0)
    reassembler.add(part(0, bytes(800), ident=501), 102.0)
    assert reassembler.size <= 1000


def test_garbage_never_accumulates():
    rng = random.Random(1)
    limits = Limits(fragments_total=5000)
    reassembler = Reassembler(limits)
    for number in range(20_000):
        data = bytes(rng.choice((8, 16, 24, 5)))
        more = rng.random() < 0.9
        reassembler.add(part(rng.randrange(40) * 8, data, more, rng.randrange(100)), number / 100)
    assert reassembler.size <= 5000
    assert len(reassembler) <= limits.fragmented_packets
