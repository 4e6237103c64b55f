"""How many descriptors this process may have: each flow takes one.

Systems set the soft limit low (1024, 256), for programs that use select; the hard limit is what
one may ask for. For whoever starts a network in a process of its own to call.
"""

from __future__ import annotations

import resource
from contextlib import suppress

RESERVED = 24  # that machines' connections leave for names, forwards and the control API
_ENOUGH = 1 << 18
_OPEN_MAX = 10240  # of macOS, which takes no more whatever its hard limit says


def share(part: int) -> int:
    """One `part`-th of the descriptors there may be, for a use that must leave some for others."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (_ENOUGH if soft == resource.RLIM_INFINITY else soft) // part


def raise_limit() -> int:
    """Raise the soft limit as far as it goes; how many descriptors there may be now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    for wanted in (most, min(most, _OPEN_MAX)):
        if soft == resource.RLIM_INFINITY or soft >= wanted:
            break
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return wanted
    return soft
