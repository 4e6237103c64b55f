"""Staying awake for a moment, for what is about to come, before going to sleep.

Putting a processor to sleep and waking it takes tens of microseconds, more than answering a
small question does: in a conversation of questions and answers most of the time goes into that.
A loop that goes on looking for a moment answers at once, but keeps a processor from others
meanwhile. So it looks only where that has paid, as Linux does for virtual machines
(`halt_poll_ns`): after several waits in a row that were short, with little to do in between. A
long wait, or much to do, as when bulk data moves, ends that at once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeAlias, TypeVar

LONGEST_S = 300e-6  # a wait that is worth looking through; an emulated machine answers within it
SHORTEST_S = 4e-6  # what is found sooner had been there already, and says nothing
MUCH_S = 100e-6  # of work between two waits: this is no conversation
WAITS = 4  # in a row, before it is tried

_Ready = TypeVar("_Ready")
Poll: TypeAlias = Callable[[float | None], list[_Ready]]
"""Waits at most so many seconds (None: for ever), and tells what is ready."""


class Vigil:
    """Does the waiting for one loop. Without `is_wakeful` it sleeps at once, always."""

    __slots__ = ("_clock", "_longest", "_row", "_since")

    def __init__(
        self, *, is_wakeful: bool = True, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._clock = clock
        self._longest = LONGEST_S if is_wakeful and processors() > 1 else 0.0
        self._row = 0  # of short waits
        self._since = clock()  # the last one

    def wait(self, poll: Poll[_Ready], timeout: float | None) -> list[_Ready]:
        """What `poll` finds within `timeout` seconds (None: for ever)."""
        began = self._clock()
        if began - self._since > MUCH_S:
            self._row = 0
        found = self._look(poll, timeout) if self._row >= WAITS else poll(timeout)
        self._since = self._clock()
        waited = self._since - began
        if waited > self._longest:
            self._row = 0
        elif waited > SHORTEST_S:
            self._row += 1
        return found

    def _look(self, poll: Poll[_Ready], timeout: float | None) -> list[_Ready]:
        """As `wait`, but without sleeping at first."""
        window = self._longest if timeout is None else min(self._longest, timeout)
        until = self._clock() + window
        while not (found := poll(0.0)):
            if self._clock() >= until:
                return poll(None if timeout is None else timeout - window)
        return found


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
