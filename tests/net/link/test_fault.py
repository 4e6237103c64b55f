import random

import pytest

from sampan.errors import UsageError
from sampan.net.link.fault import MAX_WAITING, FaultInjector, Faults


def run(faults: Faults, frames: list[bytes], seed: int = 1) -> list[bytes]:
    """All that comes out when a frame is sent each millisecond, in order."""
    injector = FaultInjector(faults, random.Random(seed).random)
    out = []
    for number, frame in enumerate(frames):
        now = number / 1000
        out += injector.timer_fired(now) + injector.frame(frame, now)
    while (due := injector.next_timer()) is not None:
        out += injector.timer_fired(due)
    return out


FRAMES = [n.to_bytes(4, "big") for n in range(1000)]


def test_a_good_link_does_nothing():
    assert run(Faults(), FRAMES) == FRAMES


def test_loss():
    out = run(Faults(loss=0.1), FRAMES)
    assert 850 < len(out) < 950
    assert out == sorted(out)
    assert run(Faults(loss=1), FRAMES) == []


def test_duplicates():
    out = run(Faults(duplicate=0.1), FRAMES)
    assert 1050 < len(out) < 1150
    assert sorted(set(out)) == FRAMES


def test_corruption_flips_one_bit():
    out = run(Faults(corrupt=1), FRAMES)
    for before, after in zip(FRAMES, out, strict=True):
        difference = int.from_bytes(before, "big") ^ int.from_bytes(after, "big")
        assert difference.bit_count() == 1
    assert run(Faults(corrupt=1), [b""]) == [b""]


def test_reordering_loses_nothing():
    out = run(Faults(reorder=0.2), FRAMES)
    assert out != FRAMES
    assert sorted(out) == FRAMES


def test_delay_keeps_the_order_and_jitter_does_not():
    injector = FaultInjector(Faults(delay_s=0.5), lambda: 0.9)
    assert injector.next_timer() is None
    assert injector.frame(b"a", 1) == injector.frame(b"b", 1) == injector.frame(b"c", 1.2) == []
    assert injector.next_timer() == 1.5
    assert injector.timer_fired(1.4) == []
    assert injector.timer_fired(1.5) == [b"a", b"b"]
    assert injector.next_timer() == 1.7
    assert run(Faults(delay_s=0.5), FRAMES) == FRAMES
    assert run(Faults(delay_s=0.5, jitter_s=0.1), FRAMES) != FRAMES


def test_a_run_can_be_repeated_and_the_fates_do_not_mix():
    bad = Faults(loss=0.1, duplicate=0.1, corrupt=0.1, reorder=0.1, jitter_s=0.01)
    assert run(bad, FRAMES) == run(bad, FRAMES) != run(bad, FRAMES, seed=2)
    lost = set(FRAMES) - set(run(Faults(loss=0.1), FRAMES))
    assert lost == set(FRAMES) - set(run(Faults(loss=0.1, duplicate=0.5), FRAMES))


def test_what_waits_is_bounded():
    injector = FaultInjector(Faults(delay_s=1), lambda: 0.5)
    for _ in range(MAX_WAITING + 10):
        injector.frame(b"x", 0)
    assert injector.lost == 10
    assert len(injector.timer_fired(2)) == MAX_WAITING


@pytest.mark.parametrize(
    "wrong", [{"loss": 1.1}, {"corrupt": -0.1}, {"delay_s": -1}, {"jitter_s": 1e9}]
)
def test_numbers_that_make_no_sense(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Faults(**wrong)
