from hypothesis import given
from hypothesis import strategies as st

from sampan.net.core.buffer import Account
from sampan.net.core.limit import Limits
from sampan.net.core.receiver import Receiver
from sampan.net.wire import seqnum

FIRST = 0xFFFFFF00
TEXT = bytes(range(256)) * 4


def receiver(**limits):
    made = Receiver(Limits(**limits), Account(1 << 20))
    made.opened(FIRST - 1, scaled=True)
    made.window()
    return made


def at(offset):
    return seqnum.add(FIRST, offset)


pieces = st.lists(st.tuples(st.integers(0, 1000), st.integers(1, 300)), max_size=60)


@given(pieces)
def test_pieces_in_any_order_give_the_stream(chunks):
    """Whatever overlaps and repeats: what comes out is a prefix of the text."""
    held = receiver()
    out = b""
    for start, size in chunks:
        data = TEXT[start : start + size]
        data = data[max(len(out) - start, 0) :]
        ready = held.offer(at(max(start, len(out))), data)
        held.accept(memoryview(ready))
        out += ready
        assert held.pieces_size == sum(len(piece) for _, piece in held.pieces) == held.account.held
        for low, high in held.blocks():
            assert seqnum.before(held.next, low)
            assert seqnum.before(low, high)
    assert out == TEXT[: len(out)]
    assert held.next == at(len(out))
    reached = set()
    for start, size in chunks:
        reached |= set(range(start, min(start + size, len(TEXT))))
    expected = next(number for number in range(len(TEXT) + 1) if number not in reached)
    assert len(out) == expected


def test_pieces_are_bounded():
    held = receiver(out_of_order=4)
    for number in range(20):
        held.offer(at(10 + number * 10), b"abc")
    assert len(held.pieces) == 4
    assert len(held.blocks()) == 3
    held.release()
    assert held.account.held == 0


def test_nothing_beyond_the_window():
    held = receiver(first_window=100, receive_window=100)
    assert held.offer(at(0), bytes(150)) == bytes(100)
    assert held.offer(at(200), b"far") == b""
    assert held.pieces == []


def test_the_account_bounds_what_is_held():
    held = receiver()
    held.account.bound = 10
    held.offer(at(10), b"12345678")
    held.offer(at(30), b"12345678")
    assert held.account.held == 8
    held.kept += b"x"
    assert not held.has_room(5)


def test_latest_block_comes_first():
    held = receiver()
    held.offer(at(10), b"aa")
    held.offer(at(30), b"bb")
    held.offer(at(12), b"cc")
    assert held.blocks() == ((at(10), at(14)), (at(30), at(32)))


def test_window_grows_when_the_host_is_quick():
    held = receiver(first_window=1000, receive_window=4000)
    held.scale = 1
    sizes = []
    for _ in range(4):
        held.accept(memoryview(bytes(1000)))
        held.consumed(1000)
        held.window()
        sizes.append(held.open_window)
    assert sizes == [2000, 2000, 4000, 4000]


def test_window_stands_still_while_the_host_is_slow():
    held = receiver(first_window=1000, receive_window=1000)
    held.accept(memoryview(bytes(400)))
    held.consumed(100)
    assert held.account.held == 300
    held.window()
    assert held.open_window == 600
    held.accept(memoryview(bytes(600)))
    held.consumed(0)
    assert held.window() == 0
    assert [len(part) for part in held.data()] == [900]
    held.consumed(900)
    held.window()
    assert held.open_window == 1000
    assert held.account.held == 0


def test_window_is_never_taken_back():
    held = receiver(first_window=1000, receive_window=1000)
    held.accept(memoryview(bytes(10)))
    held.consumed(0)
    held.target = 100
    held.window()
    assert held.open_window == 990


def test_scale():
    assert Receiver(Limits(receive_window=1 << 20), Account(1)).scale_for() == 5
    assert Receiver(Limits(receive_window=65535), Account(1)).scale_for() == 0
    plain = Receiver(Limits(), Account(1))
    plain.opened(5, scaled=False)
    assert plain.target == 65535
    assert plain.syn_window() == 65535
