"""A virtqueue against a driver in memory: what an honest one does, and what another might."""

import struct
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.vhost.core.dirty import DirtyLog
from sampan.vhost.core.error import RemoteProtocolError
from sampan.vhost.core.ring import MAX_CHAIN, Layout, Ring

NEXT, WRITE, INDIRECT = 1, 2, 4
DATA = 0x8000
TABLE = 0x40000  # for indirect descriptors


def heads(chains):
    return [head for head, _ in chains]


def contents(chains):
    return [b"".join(map(bytes, views)) for _, views in chains]


# An honest driver


def test_a_buffer_is_taken_and_given_back(guest):
    ring = guest.ring()
    assert ring.take(4) == []
    head = guest.driver.offer([guest.put(DATA, b"hello")])
    [(number, [view])] = ring.take(4)
    assert (number, bytes(view)) == (head, b"hello")
    assert ring.take(4) == []
    assert guest.driver.collect() == []
    ring.give_back([head])
    assert guest.driver.collect() == [(head, 0)]


def test_what_is_written_is_in_the_machine(guest):
    ring = guest.ring(writable=True)
    head = guest.driver.offer([(DATA, 16)], flags=WRITE)
    [(_, [view])] = ring.take(1)
    view[:4] = b"news"
    ring.give_back([head | 4 << 32])
    assert guest.driver.collect() == [(head, 4)]
    assert guest.get(DATA, 4) == b"news"


@pytest.mark.parametrize("table", [None, TABLE])
def test_a_chain_of_several_buffers(guest, table):
    parts = [guest.put(DATA + 0x100 * n, bytes([n]) * (n + 1)) for n in range(5)]
    guest.driver.offer(parts, indirect_at=table)
    [chain] = guest.ring().take(1)
    assert contents([chain]) == [b"\0" + b"\1" * 2 + b"\2" * 3 + b"\3" * 4 + b"\4" * 5]
    assert len(chain[1]) == 5


def test_an_indirect_table_may_be_larger_than_the_ring(guest):
    parts = [guest.put(DATA + n, b"x") for n in range(MAX_CHAIN - 1)]
    guest.driver.offer(parts, indirect_at=TABLE)
    assert len(guest.ring().take(1)[0][1]) == MAX_CHAIN - 1


def test_empty_buffers_are_left_out(guest):
    guest.driver.offer([(DATA, 0), guest.put(DATA, b"x"), (0, 0)])
    [(_, views)] = guest.ring().take(1)
    assert [bytes(view) for view in views] == [b"x"]


def test_a_batch_has_a_limit_and_an_order(guest):
    ring = guest.ring()
    offered = [guest.driver.offer([guest.put(DATA + n, bytes([n]))]) for n in range(6)]
    assert heads(ring.take(4)) + heads(ring.take(4)) == offered


@pytest.mark.parametrize("start", [0, 5, 65530, 65535])
@pytest.mark.parametrize("event_index", [True, False])
def test_indices_go_around(new_guest, start, event_index):
    guest = new_guest(size=4, start=start, event_index=event_index)
    ring = guest.ring()
    for turn in range(20):
        count = turn % 4 + 1
        offered = [guest.driver.offer([guest.put(DATA, b"x")]) for _ in range(count)]
        taken = heads(ring.take(8))
        assert taken == offered
        ring.give_back(taken)
        assert heads(guest.driver.collect()) == offered
    assert ring.base == (start + 50) & 0xFFFF


def test_what_was_put_back_is_taken_again(guest):
    ring = guest.ring()
    offered = [guest.driver.offer([guest.put(DATA, b"x")]) for _ in range(5)]
    ring.give_back(heads(ring.take(2)))
    assert heads(ring.take(8)) == offered[2:]
    ring.put_back(3)
    assert ring.base == 2
    assert heads(ring.take(8)) == offered[2:]


def test_another_device_goes_on_where_one_stopped(guest):
    offered = [guest.driver.offer([guest.put(DATA, b"x")]) for _ in range(3)]
    first = guest.ring()
    first.give_back(heads(first.take(2))[:1])
    assert heads(guest.ring().take(8)) == offered[1:]


# Chains of both directions


@pytest.mark.parametrize("table", [None, TABLE])
def test_a_question_and_room_for_its_answer(guest, table):
    ring, driver = guest.ring(writable=None), guest.driver
    assert ring.take_both() is None
    parts = [guest.put(DATA, b"quest"), guest.put(DATA + 64, b"ion")]
    head = driver.offer_both(parts, [(DATA + 128, 8), (DATA + 192, 8)], indirect_at=table)
    number, question, room = ring.take_both()
    assert number == head
    assert b"".join(question) == b"question"
    room[1][:2] = b"ok"
    ring.give_back([head | 10 << 32])
    assert driver.collect() == [(head, 10)]
    assert guest.get(DATA + 192, 2) == b"ok"
    assert ring.take_both() is None


def test_questions_without_answers_and_answers_without_questions(guest):
    ring = guest.ring(writable=None)
    guest.driver.offer_both([guest.put(DATA, b"x")], [])
    guest.driver.offer_both([], [(DATA, 8)])
    assert [list(map(len, ring.take_both()[1:])) for _ in range(2)] == [[1, 0], [0, 1]]


def test_what_is_read_comes_first(guest):
    driver = guest.driver
    driver.describe(0, DATA, 4, NEXT | WRITE, 1)
    driver.describe(1, DATA, 4)
    driver.publish(0)
    with pytest.raises(RemoteProtocolError, match="wrong direction"):
        guest.ring(writable=None).take_both()


def test_more_questions_than_there_can_be(guest):
    guest.driver.set_index(9)
    with pytest.raises(RemoteProtocolError, match="more buffers available"):
        guest.ring(writable=None).take_both()


def test_only_what_is_written_is_marked_in_both(guest):
    bits = bytearray(32)
    ring = guest.ring(writable=None)
    ring.log(DirtyLog(memoryview(bits)))
    guest.driver.offer_both([(0x20000, 16)], [(0x30000, 16)])
    head, _, _ = ring.take_both()
    ring.give_back([head | 8 << 32])
    assert [n for n in range(256) if bits[n // 8] >> n % 8 & 1] == [0x30]


# Notifications


def test_the_driver_says_after_which_buffer_it_wants_to_be_told(guest):
    ring, driver = guest.ring(), guest.driver
    for _ in range(6):
        driver.offer([guest.put(DATA, b"x")])
    taken = heads(ring.take(6))
    ring.give_back(taken[:1])
    assert ring.must_notify()  # the first time, always: nobody knows what was before
    assert not ring.must_notify()
    driver.want_call_after(3)
    ring.give_back(taken[1:3])
    assert not ring.must_notify()  # 3 are used: it wants the fourth
    ring.give_back(taken[3:5])
    assert ring.must_notify()
    ring.give_back(taken[5:])
    assert not ring.must_notify()


def test_the_driver_wants_no_calls(new_guest):
    guest = new_guest(event_index=False)
    ring, driver = guest.ring(), guest.driver
    for _ in range(3):
        driver.offer([guest.put(DATA, b"x")])
    for wanted in (True, True):
        ring.give_back(heads(ring.take(1)))
        assert ring.must_notify() is wanted
    assert not ring.must_notify()  # nothing new
    driver.want_no_calls()
    ring.give_back(heads(ring.take(1)))
    assert not ring.must_notify()


def test_rest_asks_for_a_kick_with_event_index(guest):
    ring = guest.ring()
    guest.driver.offer([guest.put(DATA, b"x")])
    assert not ring.rest()  # there is something already
    ring.take(1)
    assert ring.rest()
    assert guest.driver.kick_after == 1
    assert guest.fences == 2


def test_rest_asks_for_a_kick_without(new_guest):
    guest = new_guest(event_index=False)
    ring = guest.ring()
    ring.wake()
    assert guest.driver.wants_no_kick
    assert ring.rest()
    assert not guest.driver.wants_no_kick


# A driver that is not


@pytest.mark.parametrize(
    ("layout", "complaint"),
    [
        ({"size": 0}, "a ring of 0"),
        ({"size": 12}, "a ring of 12"),
        ({"size": 65536}, "a ring of 65536"),
        ({"descriptors": 8}, "not aligned"),
        ({"available": 1}, "not aligned"),
        ({"used": 2}, "not aligned"),
    ],
)
def test_rings_that_cannot_be(layout, complaint):
    good = Layout(size=8, descriptors=0, available=0, used=0, writable=True)
    good.check()
    with pytest.raises(RemoteProtocolError, match=complaint):
        replace(good, **layout).check()


def test_a_ring_must_be_in_memory(guest):
    guest.driver.table = guest.SIZE - 16
    with pytest.raises(RemoteProtocolError, match="not in the machine's memory"):
        guest.ring()


@pytest.mark.parametrize("index", [9, 100, 0xFFFF])
def test_more_buffers_than_there_can_be(guest, index):
    guest.driver.set_index(index)
    with pytest.raises(RemoteProtocolError, match="more buffers available"):
        guest.ring().take(4)


def test_buffers_that_were_not_given_back_count(guest):
    """However the driver moves its index, no more than a ring's worth is ever taken."""
    ring, driver = guest.ring(), guest.driver
    driver.describe(0, DATA, 1)
    for _ in range(8):
        driver.publish(0)
    assert len(ring.take(8)) == 8
    driver.publish(0)
    with pytest.raises(RemoteProtocolError, match="more buffers available"):
        ring.take(8)


@pytest.mark.parametrize("head", [8, 4096, 0xFFFF])
def test_a_number_beyond_the_table(guest, head):
    guest.driver.publish(head)
    with pytest.raises(RemoteProtocolError, match=f"descriptor {head} in a ring of 8"):
        guest.ring().take(4)


@pytest.mark.parametrize(
    ("address", "length"),
    [(1 << 20, 1), ((1 << 20) - 1, 2), ((1 << 64) - 1, 1), (0, 0xFFFFFFFF), (1 << 63, 16)],
)
@pytest.mark.parametrize("table", [None, TABLE])
def test_a_buffer_outside_of_memory(guest, address, length, table):
    guest.driver.offer([(address, length)], indirect_at=table)
    with pytest.raises(RemoteProtocolError, match="not in the machine's memory"):
        guest.ring().take(4)


@pytest.mark.parametrize("writable", [True, False])
@pytest.mark.parametrize("table", [None, TABLE])
def test_a_buffer_of_the_wrong_direction(guest, writable, table):
    flags = 0 if writable else WRITE
    guest.driver.offer([(DATA, 4)], flags=flags, indirect_at=table)
    with pytest.raises(RemoteProtocolError, match="wrong direction"):
        guest.ring(writable=writable).take(4)


@pytest.mark.parametrize("table", [None, TABLE])
def test_a_loop(guest, table):
    driver = guest.driver
    if table is not None:
        driver.describe(0, table, 32, INDIRECT)
    driver.describe(0, DATA, 4, NEXT, 1, table)
    driver.describe(1, DATA, 4, NEXT, 0, table)
    if table is not None:
        driver.describe(0, table, 32, INDIRECT)
    driver.publish(0)
    with pytest.raises(RemoteProtocolError, match="a chain of more than"):
        guest.ring().take(4)


def test_a_chain_that_leaves_its_table(guest):
    guest.driver.describe(0, DATA, 4, NEXT, 8)
    guest.driver.publish(0)
    with pytest.raises(RemoteProtocolError, match="descriptor 8 in a table of 8"):
        guest.ring().take(4)


@pytest.mark.parametrize(
    ("length", "flags"),
    [(0, INDIRECT), (8, INDIRECT), (24, INDIRECT), (32, INDIRECT | NEXT), (1 << 24, INDIRECT)],
)
def test_indirect_tables_that_cannot_be(guest, length, flags):
    guest.driver.describe(0, TABLE, length, flags)
    guest.driver.publish(0)
    with pytest.raises(RemoteProtocolError, match="an indirect table"):
        guest.ring().take(4)


def test_an_indirect_table_in_another(guest):
    guest.driver.describe(0, TABLE, 16, INDIRECT)
    guest.driver.describe(0, TABLE, 16, INDIRECT, table=TABLE)
    guest.driver.publish(0)
    with pytest.raises(RemoteProtocolError, match="where there can be none"):
        guest.ring().take(4)


def test_indirect_tables_that_were_not_negotiated(guest):
    guest.driver.offer([(DATA, 4)], indirect_at=TABLE)
    with pytest.raises(RemoteProtocolError, match="where there can be none"):
        guest.ring(indirect=False).take(4)


@given(st.binary(min_size=300, max_size=300), st.binary(max_size=64))
def test_any_ring_of_both_is_used_or_refused(guest_class, ring_bytes, table):
    guest = guest_class()
    guest.put(0x1000, ring_bytes)
    guest.put(0, table)
    ring = guest.ring(writable=None)
    with suppress(RemoteProtocolError):
        while (chain := ring.take_both()) is not None:
            ring.give_back([chain[0]])


@given(st.binary(min_size=300, max_size=300), st.binary(max_size=64), st.booleans())
def test_any_ring_is_used_or_refused(guest_class, ring_bytes, table, writable):
    guest = guest_class()
    guest.put(0x1000, ring_bytes)
    guest.put(0, table)
    ring = guest.ring(writable=writable)
    try:
        for _ in range(4):
            chains = ring.take(3)
            assert all(view.nbytes for _, views in chains for view in views if len(views) > 1)
            ring.give_back(heads(chains))
            ring.must_notify()
            ring.rest()
    except RemoteProtocolError:
        pass


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3), st.booleans()), max_size=40))
def test_what_goes_in_comes_back_in_order(guest_class, turns):
    guest = guest_class(size=16, start=65520)
    ring, driver = guest.ring(), guest.driver
    for count, length, indirect in turns:
        offered = [
            driver.offer(
                [guest.put(DATA + 16 * n + part, bytes([n, part])) for part in range(length)],
                indirect_at=TABLE + 256 * n if indirect else None,
            )
            for n in range(count)
        ]
        chains = ring.take(16)
        assert heads(chains) == offered
        assert all(len(views) == length for _, views in chains)
        ring.give_back(offered)
        assert heads(driver.collect()) == offered


# While the machine moves


def test_what_is_written_is_marked(guest):
    bits = bytearray(32)
    ring = guest.ring(writable=True)
    ring.log(DirtyLog(memoryview(bits)))
    guest.driver.offer([(0x20000, 0x1000), (0x30000, 0x3000)], flags=WRITE)
    guest.driver.offer([(0x40000, 16)], flags=WRITE)
    [(head, views), (other, _)] = ring.take(2)
    assert [view.nbytes for view in views] == [0x1000, 0x3000]
    ring.give_back([head | 0x1001 << 32, other])
    assert [n for n in range(256) if bits[n // 8] >> n % 8 & 1] == [0x20, 0x30]


def test_the_used_ring_is_marked_where_it_was_said_to_be(guest):
    bits = bytearray(32)
    layout = replace(guest.driver.layout(False), log_used=0x5FFF)
    ring = Ring(layout, guest.table, guest.fence, DirtyLog(memoryview(bits)))
    guest.driver.offer([guest.put(DATA, b"x")])
    ring.give_back(heads(ring.take(1)))
    assert struct.unpack_from("<H", bits)[0] == 0b1100000


def test_memory_may_move_under_a_ring(guest, new_guest):
    ring = guest.ring()
    other = new_guest()
    other.driver.offer([other.put(DATA, b"there")])
    ring.rebind(other.table)
    assert contents(ring.take(1)) == [b"there"]
