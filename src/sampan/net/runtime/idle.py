"""Notices that nobody needs a network any more: no link has been plugged in for a while."""

from __future__ import annotations

from collections.abc import Callable

from sampan.base.loop import Timer
from sampan.net.runtime.engine import Engine, Plug


class IdleWatch:
    """Calls `then` once there has been no link for `seconds`, from the beginning or later.

    In the loop's thread, like all of a network.
    """

    def __init__(self, engine: Engine, seconds: float, then: Callable[[], None]) -> None:
        self._engine = engine
        self._seconds = seconds
        self._then = then
        self._timer: Timer | None = None
        engine.when_unplugged.append(self._unplugged)
        self._begin()

    def _unplugged(self, plug: Plug) -> None:
        del plug
        self._begin()

    def _begin(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = self._engine.loop
        self._timer = loop.call_at(loop.now() + self._seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        if not self._engine.plugs:
            self._then()
