import pytest

from sampan.net.core.rtt import MAX_S, MIN_S, Timeout


def test_first_sample_and_the_next():
    timeout = Timeout()
    timeout.sample(1.0)
    assert timeout.seconds == pytest.approx(3.0)  # RFC 6298, 2.2
    timeout.sample(2.0)
    assert timeout.smoothed == pytest.approx(1.125)
    assert timeout.deviation == pytest.approx(0.625)


def test_bounds():
    timeout = Timeout()
    timeout.sample(0.0)
    assert timeout.seconds == MIN_S
    for _ in range(20):
        timeout.back_off()
    assert timeout.seconds == MAX_S


def test_only_what_is_timed_is_measured():
    timeout = Timeout()
    timeout.start(100, 5.0)
    timeout.acknowledged(99, 6.0)
    assert timeout.smoothed == 0.0
    timeout.acknowledged(100, 7.0)
    assert timeout.smoothed == 2.0
    assert not timeout.timing


def test_karn():
    timeout = Timeout()
    timeout.start(100, 5.0)
    timeout.cancel()
    assert not timeout.timing
    assert timeout.smoothed == 0.0
