"""Progress of bytes that may have to be sent or fetched twice."""

from __future__ import annotations

from sampan.base.progress import Task


class Gauge:
    """Tells `task` how far a transfer has got; going over the same bytes again does not count."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._highest = 0

    def reached(self, position: int) -> None:
        """The transfer is at byte `position`."""
        if position > self._highest:
            self._task.advance(position - self._highest)
            self._highest = position
