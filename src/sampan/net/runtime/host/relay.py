"""A flow and a socket of the host, joined by what reads or changes the bytes on their way.

`host.tcp` passes bytes on and keeps none; this is for connections whose bytes are somebody's
business: a proxy, a hook. Each direction has a `Transform` between the two ends:

    machine → flow.data() → up.received()   → waits for the host    → socket
    machine ← flow.send() ← waits for flow  ← down.received()       ← socket

    relay = Relay(loop, stack, flow, up=..., down=...)     becomes the flow's channel
    relay.connect(targets)      the first that answers (`host.race`); the machine is answered when
                                one is there, or refused when none is. Again: elsewhere instead
    relay.accept()              answer the machine before there is anybody on the other side
    relay.send_up(data)         say something to the host, of our own
    relay.send_down(data)       say something to the machine, of our own
    relay.hold() / release()    leave what the machine says in the flow, or go on
    relay.finish()              say no more to the machine once it has all that waits
    relay.reset()               break both sides off

`up`, `down` and `tap` may be replaced at any time, by a transform too while it is called: what
`received` returns goes where it would have gone. A transform that needs time holds the relay
and returns nothing.

Bounds: each direction takes nothing more while `MAX_WAITING` bytes wait, so that a slow end
slows the other: the machine by its window, the host by its kernel's. A transform may add to
that what one call of it returns, and must bound what it keeps. One that raises costs its
connection: `MalformedError` is the peer's fault, everything else is logged.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress

from sampan.base import log
from sampan.base.loop import Loop
from sampan.base.poller import ERROR, READ, WRITE
from sampan.net.core.event import Reason, Refusal
from sampan.net.core.flow import Flow
from sampan.net.core.stack import Stack
from sampan.net.runtime.host.race import Address, Begin, Connected, Race, Running
from sampan.net.runtime.host.tcp import Tap
from sampan.net.runtime.host.transform import PLAIN, Transform
from sampan.net.wire.error import MalformedError

MAX_WAITING = 1 << 18
READS = 8  # of 64 KiB, before others have their turn
LINGER_S = 30.0  # for a host that has not taken everything when the machine is done
_CHUNK = 1 << 16
_LINGER_RESET = struct.pack("ii", 1, 0)
_log = log.get(__name__)


class Relay:
    """The channel of a flow whose bytes are looked at. Owns the host's socket.

    `refusal`, if set, is what the machine is told when nobody can be reached, whatever the
    reason was. `when_connected` is called each time somebody on the host's side has answered,
    `when_over` once, when both sides have been given up.
    """

    __slots__ = (
        "_accepted", "_connected", "_down_ended", "_events", "_finish_told", "_finishing", "_flow",
        "_held", "_last", "_loop", "_over", "_race", "_shut", "_socket", "_stack", "_taking",
        "_to_host", "_to_machine", "_up_ended", "down", "refusal", "tap", "up", "when_connected",
        "when_over",
    )  # fmt: skip

    def __init__(
        self, loop: Loop, stack: Stack, flow: Flow, *,
        up: Transform = PLAIN, down: Transform = PLAIN, tap: Tap | None = None,
    ) -> None:  # fmt: skip
        self._loop = loop
        self._stack = stack
        self._flow = flow
        self.up, self.down, self.tap = up, down, tap
        self.refusal: Refusal | None = None
        self.when_connected: Callable[[], None] | None = None
        self.when_over: Callable[[], None] | None = None
        self._socket: Connected | None = None
        self._race: Running | None = None
        self._to_host, self._to_machine = bytearray(), bytearray()
        self._events = 0
        self._accepted = flow.is_active
        self._connected = self._shut = False  # of the host's side
        self._held = self._taking = self._up_ended = False
        self._down_ended = self._finishing = self._finish_told = False
        self._last = self._over = False
        flow.context = self

    # What its owner does

    @property
    def flow(self) -> Flow:
        """The machine's side."""
        return self._flow

    @property
    def is_over(self) -> bool:
        """Whether both sides have been given up."""
        return self._over

    def connect(self, targets: Sequence[Address], begin: Begin = Race) -> None:
        """Lead the flow to the first of `targets` that answers; whoever was there is left.

        What waits for the host goes to the new one. If nobody answers, the machine is refused,
        or reset if it was answered already. `begin` makes the connection.
        """
        if not self._over:
            self._drop_host()
            self._race = begin(self._loop, targets, self._reached, self._refuse)

    def accept(self) -> None:
        """Answer the machine, whether or not there is somebody to talk to."""
        if not self._accepted and not self._over:
            self._accepted = True
            self._flow.accept(self._loop.now())

    def send_up(self, data: bytes) -> None:
        """Say something to the host, behind what waits for it."""
        self._to_host += data
        self._settle()

    def send_down(self, data: bytes) -> None:
        """Say something to the machine, behind what waits for it."""
        self._tell(data)
        self._settle()

    def hold(self) -> None:
        """Leave what the machine says in its flow, until `release`."""
        self._held = True

    def release(self) -> None:
        """Take up what the machine said meanwhile."""
        self._held = False
        self._guarded(self._take)

    def finish(self) -> None:
        """Leave the host at once; say no more to the machine when it has what waits for it."""
        self._finishing = True
        self._drop_host()
        self.accept()
        self._settle()

    def reset(self) -> None:
        """Break both sides off."""
        if not self._over:
            self._flow.abort(self._loop.now())
            self._flow.context = None
            self._end(Reason.GONE)

    # The flow's side

    def established(self, now: float) -> None:
        """See `Channel.established`."""
        self._settle()

    def readable(self, now: float) -> None:
        """See `Channel.readable`."""
        self._guarded(self._take)

    def writable(self, now: float) -> None:
        """See `Channel.writable`."""
        self._settle()

    def finished(self, now: float) -> None:
        """See `Channel.finished`."""
        self._guarded(self._take)

    def gone(self, reason: Reason | None, now: float) -> None:
        """See `Channel.gone`. After a proper end the host still gets what waits for it."""
        if reason is None and self._connected and not self._shut:
            self._drain(now)
        else:
            self._end(reason)

    def _drain(self, now: float) -> None:
        """The machine is done: take the last of it, and end when the host has it all."""
        self._last = True
        self._held = False
        self._guarded(self._take)
        if not self._over:
            self._loop.call_at(now + LINGER_S, lambda: self._end(Reason.IDLE))

    def _take(self) -> None:
        """Take from the flow what there is room for, and pass it on."""
        flow = self._flow
        if self._taking or self._over:
            return  # a transform released the relay: the loop below goes on with it
        self._taking = True
        try:
            while flow.pending and not self._held and self._may_take():
                data = b"".join(flow.data())
                flow.consumed(len(data))
                if self.tap is not None:
                    self.tap.sent(data, self._loop.now())
                self._to_host += self.up.received(data)
            if flow.pending:
                flow.consumed(0)
            elif flow.is_finished and not self._held and not self._up_ended:
                self._up_ended = True
                self._to_host += self.up.finished()
        finally:
            self._taking = False
        self._settle()

    def _may_take(self) -> bool:
        if len(self._to_host) >= MAX_WAITING:
            self._push()
        return not self._over and (self._last or len(self._to_host) < MAX_WAITING)

    def _tell(self, data: bytes) -> None:
        if data and not self._over and not self._finish_told:
            if self.tap is not None:
                self.tap.received(data, self._loop.now())
            self._to_machine += data

    def _pull(self) -> None:
        """Give the machine what waits for it, and the end behind that."""
        flow, waiting, now = self._flow, self._to_machine, self._loop.now()
        while waiting and (room := flow.room()):
            buffer = self._stack.spare()
            if buffer is None:
                break
            size = min(room, len(waiting))
            buffer.payload[:size] = waiting[:size]
            del waiting[:size]
            flow.send(buffer, size, now)
        ended = self._finishing or self._down_ended
        if ended and not waiting and self._accepted and not self._finish_told and flow.is_alive:
            self._finish_told = True
            flow.finish(now)

    # The host's side

    def _refuse(self, why: Refusal) -> None:
        if self._accepted:
            self.reset()
        else:
            self._flow.refuse(self.refusal or why, self._loop.now())
            self._flow.context = None
            self._end(None)

    def _reached(self, connection: Connected) -> None:
        """The host's side is connected."""
        self._race = None
        self._socket = connection
        self._events = WRITE
        self._loop.watch(connection.fileno(), WRITE, self._ready)
        self._connected = True
        self._guarded(self._begin)

    def _begin(self) -> None:
        self.accept()
        if self.when_connected is not None:
            self.when_connected()
        self._take()

    def _ready(self, events: int) -> None:
        self._guarded(lambda: self._exchange(events))

    def _exchange(self, events: int) -> None:
        if events & WRITE:
            self._push()
            self._take()
        if events & ~WRITE and self._connected:
            self._read(events)

    def _read(self, events: int) -> None:
        if self._down_ended:
            if events & ERROR:
                self.reset()
            return
        for _ in range(READS):
            if self._socket is None or not self._connected or len(self._to_machine) >= MAX_WAITING:
                break
            try:
                data = self._socket.recv(_CHUNK)
            except BlockingIOError:
                break
            except OSError:
                self.reset()
                return
            if not data:
                self._down_ended = True
                self._tell(self.down.finished())
                break
            self._tell(self.down.received(data))
            self._pull()
        self._settle()

    def _push(self) -> None:
        """Give the host what waits for it, and the end behind that."""
        waiting = self._to_host
        if self._finishing:
            waiting.clear()
        if self._socket is None or not self._connected:
            return
        try:
            while waiting:
                del waiting[: self._socket.send(waiting)]
        except BlockingIOError:
            return
        except OSError:
            self.reset()
            return
        if self._up_ended and not self._shut:
            self._shut = True
            with suppress(OSError):  # it is gone already: reading tells
                self._socket.shutdown(socket.SHUT_WR)

    # Both

    def _settle(self) -> None:
        """Move what can be moved, and wait for what cannot."""
        self._push()
        if self._over:
            return
        self._pull()
        if self._last and self._shut:
            self._end(None)
        elif self._socket is not None and self._connected:
            reads = not self._down_ended and len(self._to_machine) < MAX_WAITING
            events = (READ if reads else 0) | (WRITE if self._to_host else 0)
            if events != self._events:
                self._events = events
                self._loop.change(self._socket.fileno(), events)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except MalformedError as error:
            _log.debug("the connection to %s ends: %s", self._flow.remote, error)
            self.reset()
        except Exception:  # noqa: BLE001  a fault of a transform costs its connection
            _log.exception("the connection to %s is given up", self._flow.remote)
            self.reset()

    def _drop_host(self, *, reset: bool = False) -> None:
        race, self._race = self._race, None
        if race is not None:
            race.close()
        connection, self._socket = self._socket, None
        self._connected = self._down_ended = self._shut = False
        if connection is None:
            return
        self._loop.unwatch(connection.fileno())
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
        connection.close()

    def _end(self, reason: Reason | None) -> None:
        if self._over:
            return
        self._over = True
        self._drop_host(reset=reason is not None)
        self._to_host.clear()
        self._to_machine.clear()
        if self.tap is not None:
            self.tap.ended(reason, self._loop.now())
        if self.when_over is not None:
            self.when_over()
