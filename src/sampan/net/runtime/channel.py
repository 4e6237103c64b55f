"""What a flow leads to: the protocol, and the one that stays in this process.

The engine tells a flow's channel (`flow.context`) what happened to the flow; the channel acts
on the flow. `host.tcp` is the channel to a host's socket; `Conversation` is the one to a
service of the network itself, such as metadata or DNS over TCP.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from sampan.base.loop import Loop
from sampan.net.core.event import Reason
from sampan.net.core.flow import Flow
from sampan.net.core.stack import Stack

MAX_UNSENT = 1 << 20  # what a service may have written that the machine has not taken
ENOUGH = 1 << 16  # of that; meanwhile it is not asked for more
PIECE = 1 << 10  # bytes that a service hears at once, before others have their turn


class Channel(Protocol):
    """The other end of a TCP flow. Methods are named after what happened to the flow."""

    def established(self, now: float) -> None:
        """The handshake is over: there may be room."""

    def readable(self, now: float) -> None:
        """There is `flow.data()`; say what was `consumed`, 0 too: the buffers are used again."""

    def writable(self, now: float) -> None:
        """There is room again."""

    def finished(self, now: float) -> None:
        """The machine will send nothing beyond what is pending."""

    def gone(self, reason: Reason | None, now: float) -> None:
        """The flow is over; without a reason, well. Give everything back."""


class Talk(Protocol):
    """A service's side of one conversation."""

    def received(self, data: bytes) -> None:
        """The machine said this."""

    def finished(self) -> None:
        """The machine will say no more."""

    def gone(self) -> None:
        """The conversation is over."""


class Conversation:
    """A channel to a service in this process; `talk` is made by `begin`, with this to write to.

    What a machine says is heard in pieces, one in each turn, and not as long as it does not take
    the answers: the rest waits in the flow, whose window closes. Who takes nothing of what it
    asked for is cut off after `MAX_UNSENT` bytes. `when_over` is called once.
    """

    __slots__ = (
        "_closing", "_finished", "_flow", "_hears", "_is_told_end", "_loop", "_stack", "_talk",
        "_unsent", "_when_over",
    )  # fmt: skip

    def __init__(
        self,
        loop: Loop,
        stack: Stack,
        flow: Flow,
        begin: Callable[[Conversation], Talk],
        when_over: Callable[[], None] | None = None,
    ) -> None:
        self._loop = loop
        self._when_over = when_over
        self._hears = self._is_told_end = False
        self._stack = stack
        self._flow = flow
        self._unsent = bytearray()
        self._closing = self._finished = False
        self._talk: Talk | None = None
        flow.context = self
        flow.accept(loop.now())  # first, so that `begin` may close it at once
        self._talk = begin(self)

    @property
    def flow(self) -> Flow:
        """Whose conversation it is."""
        return self._flow

    def write(self, data: bytes) -> None:
        """Say something to the machine."""
        if self._closing or not self._flow.is_alive:
            return
        self._unsent += data
        if len(self._unsent) > MAX_UNSENT:
            self._unsent.clear()
            self._flow.abort(self._loop.now())
            self._loop.call_soon(self._told)  # not now: it is the talk that calls
        else:
            self._pump()

    def close(self) -> None:
        """Say no more, once all that was written is sent."""
        self._closing = True
        self._pump()

    def established(self, now: float) -> None:
        """See `Channel.established`."""
        self.writable(now)

    def readable(self, now: float) -> None:
        """See `Channel.readable`."""
        if self._hears:
            self._flow.consumed(0)
        else:
            self._hear()

    def _hear(self) -> None:
        """Take a piece of what the machine said, and its end behind the last."""
        self._hears = False
        flow, talk = self._flow, self._talk
        if talk is None or self._closing:  # nobody listens any more
            flow.consumed(flow.pending)
            return
        if len(self._unsent) < ENOUGH:
            data = _beginning(flow, PIECE)
            flow.consumed(len(data))
            if data:
                talk.received(data)
        else:
            flow.consumed(0)
        if flow.pending:
            self._hear_soon()
        elif flow.is_finished and not self._is_told_end:
            self._is_told_end = True
            talk.finished()

    def _hear_on(self) -> None:
        """In a turn of its own. A service that raises costs this conversation."""
        try:
            self._hear()
        except Exception:
            self._flow.abort(self._loop.now())
            self._told()
            raise

    def _hear_soon(self) -> None:
        """Hear more in the next turn, unless there are answers enough to be taken first."""
        if not self._hears and len(self._unsent) < ENOUGH:
            self._hears = True
            self._loop.call_soon(self._hear_on)

    def writable(self, now: float) -> None:
        """See `Channel.writable`."""
        self._pump()

    def finished(self, now: float) -> None:
        """See `Channel.finished`."""
        self.readable(now)

    def gone(self, reason: Reason | None, now: float) -> None:
        """See `Channel.gone`."""
        self._told()

    def _told(self) -> None:
        """The talk is over, and hears of it once."""
        talk, self._talk = self._talk, None
        if talk is not None:
            if self._when_over is not None:
                self._when_over()
            talk.gone()

    def _pump(self) -> None:
        flow, unsent = self._flow, self._unsent
        while unsent and (room := flow.room()):
            buffer = self._stack.spare()
            if buffer is None:
                return
            size = min(room, len(unsent))
            buffer.payload[:size] = unsent[:size]
            del unsent[:size]
            flow.send(buffer, size, self._loop.now())
        if self._closing and not unsent and not self._finished and flow.is_alive:
            self._finished = True
            flow.finish(self._loop.now())
        if flow.pending:
            self._hear_soon()


def _beginning(flow: Flow, size: int) -> bytes:
    """At most the first `size` bytes of what waits."""
    data = bytearray()
    for buffer in flow.data():
        data += memoryview(buffer)[: size - len(data)]
        if len(data) == size:
            break
    return bytes(data)
