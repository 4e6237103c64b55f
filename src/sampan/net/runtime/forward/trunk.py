"""A session of VPNKit's forwarder protocol over a stream: many connections through one socket.

    ends of channels ⇄ Trunk ⇄ Session (net.link.session) ⇄ stream socket

What all channels say in a turn is written at its end, with one system call. Back-pressure: while
more than `MAX_WAITING` bytes wait for the stream, no channel has `room`; when they are gone, those
that asked are called, first come, first served. What comes is never held up: what a channel's end
has not consumed is bounded by its window, and is its end's to keep, so that one slow connection
stops nobody else's.

The stream may be any connected stream socket: of the family AF_VSOCK, a Unix socket that leads
to one, one end of a socketpair. If it breaks or ends, or the peer breaks the rules or does not
greet within `GREETING_S`, all channels are lost.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Protocol

from sampan.base import log
from sampan.base.loop import Loop
from sampan.base.poller import READ, WRITE
from sampan.errors import SampanError
from sampan.net.link import session
from sampan.net.link.error import LinkError
from sampan.net.link.multiplex import Destination
from sampan.net.link.session import Event, Session, Side

MAX_WAITING = 1 << 18
GREETING_S = 30.0  # a machine that boots may take a while to get round to it
READS = 8  # of 64 KiB, before others have their turn
_CHUNK = 1 << 16
_log = log.get(__name__)


class End(Protocol):
    """This side's end of a channel. Methods are named after what happened to the channel."""

    def received(self, data: bytes) -> None:
        """The peer said this; tell `Trunk.consumed` when it is not kept any more."""

    def writable(self) -> None:
        """There may be room again."""

    def finished(self) -> None:
        """The peer will say no more."""

    def closed(self) -> None:
        """The peer closed the channel, or the session is over: the channel is forgotten."""


class Trunk:
    """One side of a session, and its stream, which it owns. Belongs to the loop's thread.

    `accept` is asked for the end of a channel that the peer opens; None: it leads nowhere, as
    all of them do if there is no `accept`. `over` is called once, when the session is lost, with
    what is to be said about it; not after `close`.
    """

    def __init__(
        self, loop: Loop, stream: socket.socket, side: Side = Side.HOST, *,
        accept: Callable[[int, Destination], End | None] | None = None,
        over: Callable[[SampanError], None] | None = None,
        max_channels: int = session.MAX_CHANNELS,
    ) -> None:  # fmt: skip
        self._loop = loop
        self._socket = stream
        self._session = Session(side, max_channels=max_channels)
        self._accept = accept
        self._over = over
        self._ends: dict[int, End] = {}
        self._blocked: dict[int, None] = {}  # channels that found no room, in their order
        self._waiting = memoryview(b"")  # for the stream, beside what the session has
        self._events = READ
        self._flushing = False
        self._closed = False
        stream.setblocking(False)
        loop.watch(stream.fileno(), READ, self._ready)
        self._greeting = loop.call_at(loop.now() + GREETING_S, self._not_greeted)
        self._soon()

    @property
    def is_over(self) -> bool:
        """Whether the session was lost, or closed."""
        return self._closed

    @property
    def channels(self) -> int:
        """How many have an end on this side."""
        return len(self._ends)

    # What ends do

    def open(self, destination: Destination, end: End) -> int:
        """Open a channel; its number.

        Raises:
            LinkError: the session is over, or has all the channels that it may.
            ValueError: the destination's path or address is none.
        """
        if self._closed:
            raise LinkError("the connection to the machine's forwarder is over")
        number = self._session.open(destination)
        self._ends[number] = end
        self._soon()
        return number

    def room(self, channel: int) -> int:
        """How much `send` takes now; if nothing, `End.writable` will be called when it does."""
        if channel in self._ends and self._backlog() >= MAX_WAITING:
            self._blocked[channel] = None
            return 0
        return self._session.room(channel)

    def send(self, channel: int, data: bytes | memoryview) -> int:
        """Send the beginning of `data`, as much as there is room for; how much that was."""
        sent = self._session.send(channel, data) if self.room(channel) else 0
        self._soon()
        return sent

    def consumed(self, channel: int, size: int) -> None:
        """So much of what was received is no longer kept."""
        self._session.consumed(channel, size)
        self._soon()

    def shutdown(self, channel: int) -> None:
        """Send no more."""
        self._session.shutdown(channel)
        self._soon()

    def close_channel(self, channel: int) -> None:
        """Give a channel up; its end hears nothing more."""
        self._ends.pop(channel, None)
        self._blocked.pop(channel, None)
        self._session.close(channel)
        self._soon()

    def close(self) -> None:
        """End the session: channels are lost, the stream is closed."""
        if self._closed:
            return
        self._closed = True
        self._greeting.cancel()
        self._loop.unwatch(self._socket.fileno())
        self._socket.close()
        self._blocked.clear()
        while self._ends:
            channel, end = self._ends.popitem()
            self._tell(channel, end.closed)

    # The stream

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._flush()
        if events & ~WRITE and not self._closed:
            self._read()

    def _read(self) -> None:
        for _ in range(READS):
            try:
                data = self._socket.recv(_CHUNK)
            except BlockingIOError:
                return
            except OSError as error:
                self._lose(LinkError(f"the connection to the forwarder broke: {error.strerror}"))
                return
            if not data:
                self._lose(LinkError("the machine's forwarder ended the connection"))
                return
            try:
                events = self._session.data_received(data)
            except LinkError as error:
                self._lose(error)
                return
            if self._session.is_greeted:
                self._greeting.cancel()
            self._soon()
            for event in events:
                self._handle(event)
            if self._closed or len(data) < _CHUNK:
                return

    def _handle(self, event: Event) -> None:
        channel = event.channel
        if isinstance(event, session.Opened):
            self._opened(channel, event.destination)
            return
        end = self._ends.get(channel)
        if end is None:
            return
        match event:
            case session.Received():
                self._tell(channel, lambda: end.received(event.data))
            case session.Writable():
                self._tell(channel, end.writable)
            case session.Finished():
                self._tell(channel, end.finished)
            case session.Closed():
                del self._ends[channel]
                self._blocked.pop(channel, None)
                self._tell(channel, end.closed)

    def _opened(self, channel: int, destination: Destination) -> None:
        def find() -> None:
            end = self._accept(channel, destination) if self._accept is not None else None
            if end is None:
                self._session.close(channel)
            else:
                self._ends[channel] = end

        self._tell(channel, find)

    def _tell(self, channel: int, told: Callable[[], None]) -> None:
        try:
            told()
        except Exception:  # noqa: BLE001  a fault of an end costs its channel
            _log.exception("channel %d is given up", channel)
            self.close_channel(channel)

    def _soon(self) -> None:
        """Write what there is when this turn's work is done."""
        if not self._flushing and not self._closed:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _backlog(self) -> int:
        return len(self._waiting) + self._session.unsent

    def _flush(self) -> None:
        self._flushing = False
        if self._closed:
            return
        events = READ
        try:
            while self._backlog():
                if not self._waiting:
                    self._waiting = memoryview(self._session.data_to_send())
                self._waiting = self._waiting[self._socket.send(self._waiting) :]
        except BlockingIOError:
            events = READ | WRITE
        except OSError as error:
            self._lose(LinkError(f"the connection to the forwarder broke: {error.strerror}"))
            return
        if events != self._events:
            self._events = events
            self._loop.change(self._socket.fileno(), events)
        self._unblock()

    def _unblock(self) -> None:
        """Call those that found no room, until there is none again."""
        for channel in list(self._blocked):
            if self._backlog() >= MAX_WAITING:
                return
            if channel in self._blocked:
                del self._blocked[channel]
                self._tell(channel, self._ends[channel].writable)

    def _not_greeted(self) -> None:
        self._lose(LinkError("nobody at the other end of the stream speaks VPNKit's protocol"))

    def _lose(self, error: SampanError) -> None:
        if self._closed:
            return
        _log.debug("the session is over: %s", error)
        self.close()
        if self._over is not None:
            self._over(error)
