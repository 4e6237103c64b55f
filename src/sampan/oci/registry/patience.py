"""Trying again: how often, and how long to wait in between.

Only what `RegistryError.transient` calls worth it is tried again. Sleeping is an argument, so
tests take no time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from sampan.base import log
from sampan.oci.registry.fault import RegistryError

Sleep = Callable[[float], None]

_T = TypeVar("_T")
_log = log.get(__name__)
_ATTEMPTS = 5
_FIRST_WAIT_S = 0.5


class Patience:
    """Counts the failures of one piece of work."""

    def __init__(self, sleep: Sleep = time.sleep) -> None:
        self._sleep = sleep
        self._failures = 0

    def bear(self, error: RegistryError) -> None:
        """Wait before the next attempt: 0.5 s, 1, 2, 4, or as long as the registry asks.

        Raises:
            RegistryError: `error` itself, if another attempt makes no sense.
        """
        self._failures += 1
        if not error.transient or self._failures >= _ATTEMPTS:
            raise error
        wait_s = max(error.wait_s, _FIRST_WAIT_S * 2 ** (self._failures - 1))
        _log.info("%s; trying again in %.1f s", error, wait_s)
        self._sleep(wait_s)

    def renew(self) -> None:
        """Forget the failures: there was progress."""
        self._failures = 0


def patiently(work: Callable[[], _T], sleep: Sleep = time.sleep) -> _T:
    """The result of `work`, called again while it fails for reasons that may pass.

    Raises:
        RegistryError: the last failure.
    """
    patience = Patience(sleep)
    while True:
        try:
            return work()
        except RegistryError as error:
            patience.bear(error)
