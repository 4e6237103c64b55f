"""The first of several addresses of one host that answers (RFC 8305, "happy eyeballs").

    race = Race(loop, targets, won, lost)       begins at once; one of the two is called, once
    race.close()                                nobody wants to know any more

The addresses are tried with their families taking turns, beginning with that of the first. The
next one is begun when the one before has failed, or has said nothing for `DELAY_S`; whoever is
connected first wins, and the others are given up. So a family, or one address of several, that
leads nowhere costs a quarter of a second and not the minutes of a TCP time-out.

The names have been looked up before: this knows addresses.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol, TypeAlias

from sampan.base.loop import Loop, Timer
from sampan.base.poller import WRITE
from sampan.net.core.event import Refusal
from sampan.net.runtime.host import failure
from sampan.net.runtime.host.dial import dial

DELAY_S = 0.25  # RFC 8305, section 5: "Connection Attempt Delay"
MAX_TARGETS = 16  # of one host


class Address(NamedTuple):
    """Where to connect: a family, and an address as that family has it."""

    family: int
    address: tuple[str, int] | tuple[str, int, int, int] | str


class Connected(Protocol):
    """What a race is won with: a socket, or what is used as one."""

    def fileno(self) -> int:
        """The descriptor to watch."""

    def send(self, data: bytes | bytearray, /) -> int:
        """How much of the beginning of `data` has gone."""

    def recv(self, size: int, /) -> bytes:
        """What has come; empty at the end."""

    def shutdown(self, how: int, /) -> None:
        """Say that nothing more will be sent."""

    def setsockopt(self, level: int, option: int, value: int | bytes, /) -> None:
        """See `socket.setsockopt`."""

    def close(self) -> None:
        """End it."""


class Running(Protocol):
    """A race, or another way to get a connection."""

    def close(self) -> None:
        """Give it up. Nothing happens if it is over."""


Begin: TypeAlias = Callable[
    [Loop, Sequence[Address], Callable[[Connected], None], Callable[[Refusal], None]], Running
]


class Race:
    """One of them. Owns the sockets on their way; the one that `won` is given is the caller's.

    Args:
        loop: watches them.
        targets: the addresses, the preferred first; those past `MAX_TARGETS` are left out.
        won: called with the socket that is connected, which nothing watches.
        lost: called with what the last failure means, if nobody can be reached.
    """

    __slots__ = ("_loop", "_lost", "_running", "_timer", "_waiting", "_why", "_won")

    def __init__(
        self,
        loop: Loop,
        targets: Sequence[Address],
        won: Callable[[Connected], None],
        lost: Callable[[Refusal], None],
    ) -> None:
        self._loop = loop
        self._won, self._lost = won, lost
        self._waiting = deque(interleaved(targets[:MAX_TARGETS]))
        self._running: dict[int, socket.socket] = {}
        self._timer: Timer | None = None
        self._why = Refusal.HOST_UNREACHABLE
        self._next()

    def _next(self) -> None:
        """Begin with the next address that there is a way to."""
        self._cancel()
        while self._waiting:
            family, address = self._waiting.popleft()
            try:
                connection = dial(family, address)
            except OSError as error:
                self._why = failure.refusal(error)
                continue
            number = connection.fileno()
            self._running[number] = connection
            self._loop.watch(number, WRITE, partial(self._ready, number))
            if self._waiting:
                self._timer = self._loop.call_at(self._loop.now() + DELAY_S, self._next)
            return
        if not self._running:
            self._lost(self._why)

    def _ready(self, number: int, _: int) -> None:
        """One of them is connected, or it is known that it cannot be."""
        connection = self._running.pop(number)
        self._loop.unwatch(number)
        error = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            connection.close()
            self._why = failure.refusal_of(error)
            self._next()
        else:
            self.close()
            self._won(connection)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Give up those that are on their way. Nothing happens the second time."""
        self._cancel()
        self._waiting.clear()
        for number, connection in self._running.items():
            self._loop.unwatch(number)
            connection.close()
        self._running.clear()


def interleaved(targets: Sequence[Address]) -> list[Address]:
    """The targets with their families taking turns, each in its own order (section 4)."""
    families: dict[int, deque[Address]] = {}
    for each in targets:
        families.setdefault(each.family, deque()).append(each)
    found: list[Address] = []
    while len(found) < len(targets):
        found += [queue.popleft() for queue in families.values() if queue]
    return found
