import math

import pytest

from sampan.net.core.buffer import Pool
from sampan.net.core.limit import Limits
from sampan.net.core.sender import MAX_ENTRIES, MIN_THRESHOLD, Sender

FIRST = 0xFFFFF000


@pytest.fixture
def sender():
    made = Sender(FIRST, Pool(8), Limits())
    made.sized(1000, 60_000)
    made.window = 500_000
    return made


def send(sender, *sizes):
    for size in sizes:
        sender.sent(memoryview(bytes(size)), None, 1.0)


def at(offset):
    return (FIRST + offset) & 0xFFFFFFFF


def pieces(sender):
    return [((start - FIRST) & 0xFFFFFFFF, len(data), fin) for start, data, fin in sender.pieces()]


def test_room_shrinks_and_comes_back(sender):
    assert sender.room() == 60_000
    send(sender, *[60_000] * 4)
    assert sender.room() == 22_000  # what is left of 256 KiB
    send(sender, 10_000)
    assert sender.room() == 0  # 12144 bytes are left, not worth a frame
    sender.advance(at(60_000), 1.1)
    assert sender.room() == 60_000  # slow start
    sender.window = 100
    assert sender.room() == 0
    sender.advance(at(250_000), 1.1)
    assert sender.room() == 100
    assert sender.timer == math.inf


def test_many_small_sends_are_bounded(sender):
    send(sender, *[1] * MAX_ENTRIES)
    assert sender.room() == 0


def test_congestion_window_stops_at_the_limit(sender):
    for number in range(200):
        send(sender, 20_000)
        sender.advance(at((number + 1) * 20_000), 1.0)
    assert sender.congestion == Limits().send_window


def test_buffers_are_given_back(sender):
    buffer = sender.pool.spare()
    sender.pool.keep(buffer)
    sender.sent(buffer.payload[:30_000], buffer, 1.0)
    sender.advance(at(29_999), 1.0)
    assert sender.pool.lent == 1
    sender.advance(at(30_000), 1.0)
    assert sender.pool.lent == 0
    assert sender.pool.spare() is buffer


def test_buffers_of_a_dead_flow_are_not_used_again(sender):
    buffer = sender.pool.spare()
    sender.pool.keep(buffer)
    sender.sent(buffer.payload[:30_000], buffer, 1.0)
    sender.release()
    assert sender.pool.lent == 0
    assert sender.pool.spare() is not buffer


def test_time_out_sends_everything_again_slowly(sender):
    send(sender, 3000, 3000)
    sender.finished(1.0)
    sender.expired(2.0)
    assert pieces(sender) == [(0, 1000, False)]
    assert sender.timer == 4.0
    sender.acknowledged(at(1000), (), True, 2.1)
    assert pieces(sender) == [(1000, 2000, False)]
    sender.acknowledged(at(3000), (), True, 2.2)
    assert pieces(sender) == [(3000, 3000, False), (6000, 0, True)]
    sender.acknowledged(at(6001), (), True, 2.3)
    assert sender.is_steady
    assert sender.in_flight == 0


def test_fin_goes_with_the_last_bytes(sender):
    send(sender, 500)
    sender.finished(1.0)
    sender.expired(2.0)
    assert pieces(sender) == [(0, 500, False), (500, 0, True)]


def test_three_duplicates(sender):
    send(sender, *[1000] * 10)
    for _ in range(2):
        sender.acknowledged(at(0), (), True, 1.1)
        assert pieces(sender) == []
    sender.acknowledged(at(0), (), True, 1.1)
    assert pieces(sender) == [(0, 1000, False)]
    assert sender.threshold == MIN_THRESHOLD
    sender.acknowledged(at(4000), (), False, 1.2)  # NewReno: the next hole
    assert pieces(sender) == [(4000, 1000, False)]
    sender.acknowledged(at(10_000), (), False, 1.3)
    assert sender.recover is None


def test_sack_tells_what_is_missing(sender):
    send(sender, *[1000] * 10)
    blocks = ((at(1000), at(3000)), (at(4000), at(7000)))
    sender.acknowledged(at(0), blocks, True, 1.1)
    assert pieces(sender) == [(0, 1000, False), (3000, 1000, False)]
    sender.acknowledged(at(0), blocks, True, 1.1)
    assert pieces(sender) == []  # already sent again
    sender.acknowledged(at(10_000), (), False, 1.2)
    assert sender.is_steady


def test_window_updates_are_no_duplicates(sender):
    send(sender, 1000, 1000)
    for _ in range(9):
        sender.acknowledged(at(0), (), False, 1.1)
    assert sender.recover is None


def test_one_piece_is_of_one_entry(sender):
    send(sender, 700, 700)
    sender.expired(2.0)
    assert pieces(sender) == [(0, 700, False), (700, 700, False)]


def test_one_frame_takes_a_quarter_of_the_window(sender):
    """Else the loss of one would leave nothing in flight to notice it by."""
    sender.congestion = 100_000
    assert sender.room() == 25_000
    sender.congestion = 1000
    assert sender.room() == 1000


def test_what_was_sent_again_is_lost_once_more(sender):
    """What was sent after it has arrived, and it has not: no need to wait for the time-out."""
    send(sender, *[1000] * 8)
    sender.acknowledged(at(0), ((at(1000), at(8000)),), True, 1.1)
    assert pieces(sender) == [(0, 1000, False)]
    send(sender, *[1000] * 4)
    sender.acknowledged(at(0), ((at(1000), at(11_000)),), True, 1.2)
    assert pieces(sender) == []
    sender.acknowledged(at(0), ((at(1000), at(12_000)),), True, 1.2)
    assert pieces(sender) == [(0, 1000, False)]


def test_time_out_shrinks_back_with_progress(sender):
    send(sender, 1000)
    sender.advance(at(1000), 1.1)
    send(sender, 1000)
    for _ in range(5):
        sender.expired(2.0)
    assert sender.rto.seconds > 5
    sender.advance(at(2000), 9.0)
    assert sender.rto.seconds < 1
