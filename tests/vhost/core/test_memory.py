"""Addresses of guests and front-ends, translated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.vhost.core import memory as memories
from sampan.vhost.core.error import RemoteProtocolError
from sampan.vhost.core.memory import Memory, Region

LOW = Region(guest=0, size=0x1000, user=0x50000, offset=0)
HIGH = Region(guest=0x4000, size=0x2000, user=0x51000, offset=0x4000)
END = 1 << 64


@pytest.fixture
def views():
    return [memoryview(bytearray(b"l" * 0x1000)), memoryview(bytearray(b"h" * 0x2000))]


@pytest.fixture
def memory(views):
    return Memory([LOW, HIGH], views)


def test_an_address_leads_to_its_bytes(memory, views):
    memory.guest(0x5FFF, 1)[0] = ord("x")
    assert views[1][0x1FFF] == ord("x")
    assert bytes(memory.user(0x51000 + 0x1FFF, 1)) == b"x"
    assert bytes(memory.guest(0x10, 3)) == b"lll"
    assert memory.guest(0, 0x1000).nbytes == 0x1000


@pytest.mark.parametrize(
    ("address", "length"),
    [(0xFFF, 2), (0x1000, 1), (0x3FFF, 2), (0x6000, 1), (0x5000, 0x1001), (END - 1, 2), (0, END)],
)
def test_what_is_outside_is_a_fault(memory, address, length):
    with pytest.raises(RemoteProtocolError, match=f"{length} bytes at {address:#x}"):
        memory.guest(address, length)


def test_a_span_across_two_regions_is_a_fault(memory):
    """They lie side by side for the front-end, but not in what is mapped."""
    with pytest.raises(RemoteProtocolError):
        memory.user(0x50FFF, 2)


@given(st.integers(0, 0x7000), st.integers(0, 0x3000))
def test_nothing_is_ever_beyond_a_region(address, length):
    memory = Memory([LOW, HIGH], [memoryview(bytes(0x1000)), memoryview(bytes(0x2000))])
    inside = address + length <= 0x1000 or (address >= 0x4000 and address + length <= 0x6000)
    try:
        assert len(memory.guest(address, length)) == length
        assert inside
    except RemoteProtocolError:
        assert not inside


def test_the_largest_region_is_the_main_one(memory, views):
    assert (memory.main.low, memory.main.high) == (0x4000, 0x6000)
    assert memory.main.view is views[1]
    nothing = Memory([], []).main
    assert nothing.low > nothing.high


def test_views_must_fit_their_regions(views):
    with pytest.raises(ValueError, match="sizes"):
        Memory([HIGH, LOW], views)


@pytest.mark.parametrize(
    "region",
    [
        Region(0, 0, 0, 0),
        Region(0, memories.MAX_SIZE + 1, 0, 0),
        Region(0, 1, 0, memories.MAX_SIZE + 1),
        Region(END - 1, 2, 0, 0),
        Region(0, 2, END - 1, 0),
    ],
)
def test_regions_that_cannot_be(region):
    with pytest.raises(RemoteProtocolError, match="a region"):
        memories.check([region])


def test_regions_do_not_overlap():
    memories.check([HIGH, LOW])
    memories.check([])
    with pytest.raises(RemoteProtocolError, match="overlap at 0xfff"):
        memories.check([LOW, Region(0xFFF, 1, 0x90000, 0)])
    with pytest.raises(RemoteProtocolError, match="overlap at 0x50fff"):
        memories.check([LOW, Region(0x9000, 1, 0x50FFF, 0)])
