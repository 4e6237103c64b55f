"""What a failed system call means to the machine whose packet caused it."""

from __future__ import annotations

import errno

from sampan.net.core.event import Refusal

_REFUSALS = {
    errno.ECONNREFUSED: Refusal.REFUSED,
    errno.ECONNRESET: Refusal.REFUSED,
    errno.EHOSTUNREACH: Refusal.HOST_UNREACHABLE,
    errno.EHOSTDOWN: Refusal.HOST_UNREACHABLE,
    errno.ENETUNREACH: Refusal.NETWORK_UNREACHABLE,
    errno.ENETDOWN: Refusal.NETWORK_UNREACHABLE,
    errno.EADDRNOTAVAIL: Refusal.NETWORK_UNREACHABLE,
    errno.EAFNOSUPPORT: Refusal.NETWORK_UNREACHABLE,
    errno.EACCES: Refusal.PROHIBITED,
    errno.EPERM: Refusal.PROHIBITED,
    errno.ETIMEDOUT: Refusal.TIMED_OUT,
}


def refusal(error: OSError) -> Refusal:
    """What to tell the machine. Of our own shortages (descriptors, memory): unreachable."""
    return _REFUSALS.get(error.errno or 0, Refusal.HOST_UNREACHABLE)


def refusal_of(number: int) -> Refusal:
    """The same for an errno that a socket reported (SO_ERROR)."""
    return _REFUSALS.get(number, Refusal.HOST_UNREACHABLE)
