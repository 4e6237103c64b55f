from sampan.base.clock import Clock, SystemClock


def test_monotonic_time_never_goes_back():
    clock: Clock = SystemClock()
    readings = [clock.monotonic_s() for _ in range(100)]
    assert readings == sorted(readings)


def test_wall_time_counts_from_1970():
    assert SystemClock().wall_s() > 1_700_000_000
