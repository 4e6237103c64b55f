"""Any link with something around it: captures, a bad network on purpose, a limit on the rate.

    machine ── link ── watch ── inward: transforms in their order ──→ network
                         │ ←── outward: transforms in their order ──┘

`watch` stands next to the link: it sees what the machine really sends and really gets. Transforms
are those of `net.link` (`FaultInjector`, `RateLimit`), one for each direction, since they have
state; what they hold back goes on when the loop's clock says so.

A link with offload has frames of up to 64 KiB and checksums that nobody has made: faults and
rates mean more on a link without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeAlias

from sampan.base.loop import Loop, Timer
from sampan.net.core.port import Frame
from sampan.net.link.pcapng import Direction
from sampan.net.runtime.engine import Link, Plug
from sampan.net.wire.checksum import Buffer

Watch: TypeAlias = Callable[[Direction, Buffer], None]
"""Sees a frame, without its offload header; directions are the machine's. Valid for the call."""


class Transform(Protocol):
    """What happens to the frames of one direction."""

    def frame(self, frame: bytes, now: float) -> list[bytes]:
        """What goes on at once when `frame` comes."""

    def next_timer(self) -> float | None:
        """When `timer_fired` has something to give."""

    def timer_fired(self, now: float) -> list[bytes]:
        """What goes on by now."""


class Wrapped:
    """`link` with something around it; is itself a link."""

    def __init__(
        self,
        link: Link,
        *,
        inward: Sequence[Transform] = (),
        outward: Sequence[Transform] = (),
        watch: Watch | None = None,
    ) -> None:
        self.link = link
        self.watch = watch
        self._in = _Lane(inward, self._come)
        self._out = _Lane(outward, self._go)
        self._plug: Plug | None = None

    @property
    def head(self) -> int:
        """See `Link.head`."""
        return self.link.head

    def start(self, plug: Plug) -> None:
        """See `Link.start`."""
        self._plug = plug
        self._in.loop = self._out.loop = plug.loop
        self.link.start(_Between(plug, self._received))

    def _received(self, frames: Iterable[memoryview]) -> None:
        if self.watch is not None:
            frames = list(frames)
            for frame in frames:
                self.watch(Direction.OUT, frame[self.head :])
        if self._in.transforms:
            self._in.pass_on([bytes(frame) for frame in frames])
        elif self._plug is not None:
            self._plug.received(frames)

    def _come(self, frames: list[bytes]) -> None:
        if self._plug is not None:
            self._plug.received([memoryview(frame) for frame in frames])

    def send(self, frames: list[Frame]) -> None:
        """See `Link.send`."""
        if self._out.transforms or self.watch is not None:
            self._out.pass_on([b"".join(frame) for frame in frames])
        else:
            self.link.send(frames)

    def _go(self, frames: list[bytes]) -> None:
        if self._plug is None:
            return
        if self.watch is not None:
            for frame in frames:
                self.watch(Direction.IN, memoryview(frame)[self.head :])
        self.link.send([(frame,) for frame in frames])

    def close(self) -> None:
        """See `Link.close`."""
        self._plug = None
        self._in.close()
        self._out.close()
        self.link.close()


class _Between(Plug):
    """What the wrapped link takes for its plug."""

    __slots__ = ("_plug", "_received")

    def __init__(self, plug: Plug, received: Callable[[Iterable[memoryview]], None]) -> None:
        super().__init__(plug.engine, plug.link, plug.port, plug.name)
        self._plug = plug
        self._received = received

    def received(self, frames: Iterable[memoryview]) -> None:
        """See `Plug.received`."""
        self._received(frames)

    def lost(self, why: str) -> None:
        """See `Plug.lost`."""
        self._plug.lost(why)


class _Lane:
    """The transforms of one direction, one behind the other, and the timer they need."""

    def __init__(
        self, transforms: Sequence[Transform], deliver: Callable[[list[bytes]], None]
    ) -> None:
        self.transforms = transforms
        self.loop: Loop | None = None
        self._deliver = deliver
        self._timer: Timer | None = None

    def pass_on(self, frames: list[bytes]) -> None:
        assert self.loop is not None
        self._from(0, frames, self.loop.now())
        self._arm()

    def _from(self, stage: int, frames: list[bytes], now: float) -> None:
        for transform in self.transforms[stage:]:
            frames = [passed for frame in frames for passed in transform.frame(frame, now)]
        if frames:
            self._deliver(frames)

    def _fired(self) -> None:
        assert self.loop is not None
        self._timer = None
        now = self.loop.now()
        for stage, transform in enumerate(self.transforms):
            due = transform.next_timer()
            if due is not None and due <= now:
                self._from(stage + 1, transform.timer_fired(now), now)
        self._arm()

    def _arm(self) -> None:
        due = [when for each in self.transforms if (when := each.next_timer()) is not None]
        if not due or self.loop is None or (self._timer and self._timer.when <= min(due)):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_at(min(due), self._fired)

    def close(self) -> None:
        self.loop = None
        if self._timer is not None:
            self._timer.cancel()
