"""The journal of a machine: its events in order, the last of them kept, to replay and follow.

Followers have no queues of their own: each knows the number it has read up to, and takes what
came after from the one journal. A slow follower therefore costs nothing; when what it wants
was forgotten it is told how many it missed. All of it belongs to one event loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable

from msgspec.structs import replace

from sampan.base.clock import Clock, SystemClock
from sampan.machine import qmp
from sampan.machine.bell import Bell
from sampan.machine.model import End, Ending
from sampan.machine.view.event import (
    Ended,
    Event,
    Missed,
    Panicked,
    State,
    StateChanged,
    translate,
)

DEFAULT_KEPT = 1024


class Journal:
    """The events of one machine. `state` is where in its life the machine is."""

    def __init__(
        self, machine: str, *, clock: Clock | None = None, kept: int = DEFAULT_KEPT
    ) -> None:
        self.state = State.STARTING
        self._machine = machine
        self._clock = clock or SystemClock()
        self._kept: deque[Event] = deque(maxlen=kept)
        self._last = 0
        self._over = False
        self._bell = Bell()
        self._listeners: list[Callable[[Event], None]] = []

    @property
    def last(self) -> int:
        """The number of the newest event; 0 before there is any."""
        return self._last

    def record(self, event: Event) -> Event:
        """Add `event`; gives it with its number, its time (now, if it has none) and its machine."""
        self._last += 1
        stamped = replace(
            event,
            seq=self._last,
            time_s=event.time_s or self._clock.wall_s(),
            machine=self._machine,
        )
        if isinstance(stamped, StateChanged):
            self.state = stamped.new
        self._kept.append(stamped)
        for listener in self._listeners:
            listener(stamped)
        self._bell.ring()
        return stamped

    def noticed(self, notice: qmp.Notice) -> None:
        """Record what a notice of the hypervisor means, if it means anything to users."""
        if (event := translate(notice, self.state)) is not None:
            self.record(event)

    def became(self, state: State) -> None:
        """Record that the machine is in `state` from now on, if it was not."""
        if state is not self.state and not self._over:
            self.record(StateChanged(old=self.state, new=state))

    def ended(self, end: End) -> None:
        """Record how the machine ended, once; whoever follows has then read everything."""
        if self._over:
            return
        if end.ending is Ending.PANICKED:
            self.record(Panicked(reason=end.detail))
        self.became(State.ENDED)
        self._over = True
        self.record(Ended(end=end))

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Call `listener` with each event from now on."""
        self._listeners.append(listener)

    def after(self, seq: int) -> tuple[Event, ...]:
        """The events with greater numbers than `seq`; the first is `Missed` if some are gone."""
        events = tuple(event for event in self._kept if event.seq > seq)
        first = events[0].seq if events else self._last + 1
        missed = first - seq - 1
        if missed <= 0:
            return events
        gone = Missed(
            seq=first - 1, time_s=self._clock.wall_s(), machine=self._machine, count=missed
        )
        return (gone, *events)

    async def follow(self, since: int = 0) -> AsyncIterator[Event]:
        """The events after number `since`, then each when it happens, up to `Ended`."""
        while True:
            for event in self.after(since):
                since = event.seq
                yield event
            if self._over:
                return
            if self._last <= since:
                await self._bell.wait()
