"""Looks after a program that fills folders: reports what it writes, ends it when it is stuck.

The only sign of life that counts is bytes: a program that waits for room on a full disk, or
for a server that has gone silent, looks busy to everybody else.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from sampan.base.clock import Clock, SystemClock
from sampan.base.progress import Task
from sampan.errors import SampanError
from sampan.package import space

PATIENCE_S = 120.0  # apt itself gives up an address after 30 s and tries the next
_FULL_PATIENCE_S = 2.0


class StuckError(SampanError):
    """A program wrote nothing for a long time."""


class Watchdog:
    """Called while a program fills `folders`; `task` hears of every byte it adds.

    Raises, when called:
        NoSpaceError: the program writes no more, and the disk is full.
        StuckError: the program wrote nothing for `patience_s` seconds.
        StoppedError: `task` says that the work is given up.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        task: Task,
        *,
        patience_s: float = PATIENCE_S,
        clock: Clock | None = None,
    ) -> None:
        self._folders = folders
        self._task = task
        self._patience_s = patience_s
        self._clock = clock or SystemClock()
        self._size = self._measure()
        self._moved_s = self._clock.monotonic_s()
        self.reported = 0

    def __call__(self) -> None:
        """Look once."""
        size = self._measure()
        grown = max(0, size - self._size)
        self._task.advance(grown)
        self.reported += grown
        now_s = self._clock.monotonic_s()
        if size != self._size:
            self._size, self._moved_s = size, now_s
            return
        idle_s = now_s - self._moved_s
        if idle_s >= _FULL_PATIENCE_S:
            for folder in self._folders:
                if space.is_full(folder):
                    raise space.NoSpaceError(folder, "the disk is full")
        if idle_s >= self._patience_s:
            raise StuckError(
                f"apt wrote nothing for {idle_s:.0f} s and was stopped",
                hint="is the archive reachable? try again, or name another: --debian-mirror URL",
            )

    def _measure(self) -> int:
        """The bytes in the folders."""
        return sum(_size(path) for path in self._folders)


def _size(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118  many, often
            except FileNotFoundError:
                continue  # renamed since it was listed
    return total
