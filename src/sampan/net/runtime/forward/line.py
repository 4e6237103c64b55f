"""The way to a machine's forwarder: a stream that is there, or one that is dialled when wanted.

    line.want(then)        then(trunk), at once or when there is a session; then(None): there is none

It may not know what goes through it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol, TypeAlias

from sampan.base import log
from sampan.base.loop import Loop
from sampan.errors import SampanError
from sampan.net.runtime.forward.trunk import Trunk

PATIENCE_S = 10.0  # for a forwarder that has yet to start
RETRY_S = 0.25
MAX_WAITING = 256  # who want a session that is not there yet
_log = log.get(__name__)

Wanted: TypeAlias = Callable[[Trunk | None], None]


class Line(Protocol):
    """Where sessions come from. Belongs to the loop's thread."""

    @property
    def is_over(self) -> bool:
        """Whether there will never be a session again."""

    def when_over(self, told: Callable[[SampanError], None]) -> None:
        """Call `told` once, when that is so; not after `close`."""

    def want(self, then: Wanted) -> None:
        """Call `then` with a session, or with None if there is none to be had."""

    def close(self) -> None:
        """End the session."""


class Held:
    """A connected stream, which it owns. When its session is lost, so is the line."""

    def __init__(self, loop: Loop, stream: socket.socket) -> None:
        self._told: Callable[[SampanError], None] | None = None
        self._trunk = Trunk(loop, stream, over=self._lost)

    @property
    def is_over(self) -> bool:
        """See `Line.is_over`."""
        return self._trunk.is_over

    def when_over(self, told: Callable[[SampanError], None]) -> None:
        """See `Line.when_over`."""
        self._told = told

    def want(self, then: Wanted) -> None:
        """See `Line.want`; it is called at once."""
        then(None if self._trunk.is_over else self._trunk)

    def close(self) -> None:
        """See `Line.close`."""
        self._trunk.close()

    def _lost(self, error: SampanError) -> None:
        if self._told is not None:
            self._told(error)


class Dialled:
    """A stream that `dial` makes when it is wanted, and again when its session was lost.

    `dial` is called in another thread, where it may block; what it raises (SampanError, OSError)
    is tried again for `PATIENCE_S`.
    """

    def __init__(self, loop: Loop, dial: Callable[[], socket.socket]) -> None:
        self._loop = loop
        self._dial = dial
        self._trunk: Trunk | None = None
        self._waiting: list[Wanted] = []
        self._deadline = 0.0
        self._closed = False

    @property
    def is_over(self) -> bool:
        """See `Line.is_over`."""
        return self._closed

    def when_over(self, told: Callable[[SampanError], None]) -> None:
        """See `Line.when_over`: that never happens."""

    def want(self, then: Wanted) -> None:
        """See `Line.want`."""
        if self._closed or len(self._waiting) >= MAX_WAITING:
            then(None)
        elif self._trunk is not None and not self._trunk.is_over:
            then(self._trunk)
        else:
            self._waiting.append(then)
            if len(self._waiting) == 1:
                self._deadline = self._loop.now() + PATIENCE_S
                self._try()

    def close(self) -> None:
        """See `Line.close`; nobody waits any more."""
        self._closed = True
        if self._trunk is not None:
            self._trunk.close()
        self._answer(None)

    def _try(self) -> None:
        if not self._closed:
            self._loop.in_thread(self._dial, self._dialled)

    def _dialled(self, done: Future[socket.socket]) -> None:
        try:
            stream = done.result()
        except (SampanError, OSError) as error:
            self._failed(error)
            return
        if self._closed:
            stream.close()
            return
        self._trunk = Trunk(self._loop, stream)
        self._answer(self._trunk)

    def _failed(self, error: Exception) -> None:
        now = self._loop.now()
        if now < self._deadline:
            self._loop.call_at(now + RETRY_S, self._try)
            return
        _log.warning("the machine's forwarder cannot be reached: %s", error)
        self._answer(None)

    def _answer(self, trunk: Trunk | None) -> None:
        waiting, self._waiting = self._waiting, []
        for then in waiting:
            then(trunk)
