import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.errors import UsageError
from sampan.net.link.rate import RateLimit


def test_a_burst_passes_and_the_rest_waits_its_turn():
    limit = RateLimit(1000, burst_bytes=200)
    assert limit.frame(bytes(150), 10) == [bytes(150)]
    assert limit.frame(bytes(100), 10) == []
    assert limit.frame(bytes(1), 10) == []
    assert limit.next_timer() == pytest.approx(10.05)
    assert limit.timer_fired(10.01) == []
    assert limit.timer_fired(10.06) == [bytes(100), bytes(1)]
    assert limit.next_timer() is None
    assert limit.timer_fired(11) == []


def test_a_frame_larger_than_the_burst_leaves_a_debt():
    limit = RateLimit(1000, burst_bytes=100)
    assert limit.frame(bytes(1100), 0) == [bytes(1100)]
    assert limit.frame(bytes(100), 1) == []
    assert limit.next_timer() == pytest.approx(1.1)


def test_a_full_queue_loses():
    limit = RateLimit(1000, burst_bytes=100, queue_bytes=250)
    for _ in range(5):
        limit.frame(bytes(100), 0)
    assert limit.lost == 2


@given(st.lists(st.tuples(st.integers(1, 3000), st.integers(0, 50)), min_size=1, max_size=60))
def test_the_rate_holds_over_any_time_and_nothing_gets_stuck(traffic):
    limit = RateLimit(10_000, burst_bytes=1500, queue_bytes=20_000)
    now, sent, passed = 0.0, [], []
    for size, pause_ms in traffic:
        now += pause_ms / 1000
        while (due := limit.next_timer()) is not None and due <= now:
            passed += [(due, each) for each in limit.timer_fired(due)]
        lost = limit.lost
        passed += [(now, each) for each in limit.frame(bytes(size), now)]
        if limit.lost == lost:
            sent.append(bytes(size))
    for _ in range(len(sent) + 1):
        if (due := limit.next_timer()) is not None:
            passed += [(due, each) for each in limit.timer_fired(due)]
    assert [each for _, each in passed] == sent
    total = 0
    for at, each in passed:
        total += len(each)
        assert total <= 1500 + 3000 + 10_000 * at + 1


@pytest.mark.parametrize("numbers", [(0, 1, 1), (1, 0, 1), (1, 1, -1)])
def test_numbers_that_make_no_sense(numbers):
    rate, burst, queue = numbers
    with pytest.raises(UsageError, match="bytes per second"):
        RateLimit(rate, burst_bytes=burst, queue_bytes=queue)
