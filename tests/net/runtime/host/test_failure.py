import errno

import pytest

from sampan.net.core.event import Refusal
from sampan.net.runtime.host import failure


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.ECONNREFUSED, Refusal.REFUSED),
        (errno.EHOSTUNREACH, Refusal.HOST_UNREACHABLE),
        (errno.ENETUNREACH, Refusal.NETWORK_UNREACHABLE),
        (errno.EACCES, Refusal.PROHIBITED),
        (errno.ETIMEDOUT, Refusal.TIMED_OUT),
        (errno.EMFILE, Refusal.HOST_UNREACHABLE),
        (0, Refusal.HOST_UNREACHABLE),
    ],
)
def test_what_the_machine_is_told(number, told):
    assert failure.refusal_of(number) is told
    assert failure.refusal(OSError(number, "x")) is told


def test_an_error_without_a_number():
    assert failure.refusal(OSError("x")) is Refusal.HOST_UNREACHABLE
