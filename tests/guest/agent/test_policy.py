import pytest

from sampan.guest.agent.policy import FIRST_DELAY_S, LONGEST_DELAY_S, STABLE_S, Backoff


@pytest.mark.parametrize(
    ("restart", "status", "again"),
    [
        ("no", 0, False),
        ("no", 1, False),
        ("on-failure", 0, False),
        ("on-failure", 137, True),
        ("always", 0, True),
        ("always", 1, True),
    ],
)
def test_who_starts_again(restart, status, again):
    assert (Backoff(restart).after(status, 1.0) is not None) is again


def test_delays_double_up_to_a_limit():
    backoff = Backoff("always")
    delays = [backoff.after(1, 0.1) for _ in range(10)]
    assert delays[:4] == [0.5, 1.0, 2.0, 4.0]
    assert delays[-1] == LONGEST_DELAY_S


def test_a_service_that_ran_a_while_starts_from_the_first_delay():
    backoff = Backoff("always")
    for _ in range(5):
        backoff.after(1, 0.1)
    assert backoff.after(1, STABLE_S) == FIRST_DELAY_S


def test_reset_forgets_failures():
    backoff = Backoff("on-failure")
    backoff.after(1, 0.1)
    backoff.after(1, 0.1)
    backoff.reset()
    assert backoff.after(1, 0.1) == FIRST_DELAY_S
