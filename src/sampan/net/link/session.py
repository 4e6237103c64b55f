"""A session of VPNKit's forwarder protocol: channels over one stream, and who may send how much.

Either side opens channels; in practice the host does, and the machine's side connects each to
its destination (`multiplex.Destination`). What the specification and VPNKit's own programs do:

    greeting   both sides send it at once; nobody waits for the other's
    opening    Open, and from each side a first Window: before the peer's has come nothing may
               be sent. Nothing says that the destination was reached: if not, Close comes
    data       up to the byte the peer's last Window said. A new Window follows when less than
               half of `WINDOW` is left and what came has been consumed
    Shutdown   this side sends no more
    Close      this side is done with the channel. Each side sends exactly one, the second as an
               answer; then the number is free. Without a Shutdown before it, it is a break

    session = Session(Side.HOST)
    channel = session.open(destination)
    for event in session.data_received(data): ...      then send data_to_send()
    session.send(channel, data)                        as much as the window takes
    session.consumed(channel, size)                    what came has found its way on

Every call may leave something to send. A channel whose `Closed` was told is forgotten: what is
asked of it afterwards does nothing, so a caller need not look whether an event came in between.

Frames for channels that are not there are dropped, but for Close: VPNKit's sender lets Data and
Window overtake one another with Close. Dedicated connections are refused, as VPNKit does.

Bounds: `max_channels` at once, one window of unconsumed bytes for each (the caller keeps them),
`MAX_UNSENT` for a peer that makes us answer and does not read. Beyond, the session ends.

It may not know about sockets, or what a destination is to its machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from sampan.net.link import multiplex
from sampan.net.link.error import LinkError
from sampan.net.link.multiplex import WINDOW, Decoder, Destination, Frame

MAX_CHANNELS = 4096
MAX_UNSENT = 4 << 20
MAX_PATH = 107  # bytes of a Unix socket's path on Linux, which is what machines run
_NUMBERS = 1 << 32


class Side(Enum):
    """Which end of the stream; they number the channels they open from opposite ends."""

    HOST = -1
    MACHINE = 1


@dataclass(frozen=True, slots=True)
class Opened:
    """The peer opened a channel; `close` it if it leads nowhere."""

    channel: int
    destination: Destination


@dataclass(frozen=True, slots=True)
class Received:
    """Bytes of a channel. Say what was `consumed`, or no more will come."""

    channel: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Writable:
    """The peer takes more."""

    channel: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The peer will send no more on the channel."""

    channel: int


@dataclass(frozen=True, slots=True)
class Closed:
    """The channel is over and forgotten, whoever closed it first."""

    channel: int


Event: TypeAlias = Opened | Received | Writable | Finished | Closed


class _Channel:
    """Counts of one channel, in bytes from its beginning."""

    __slots__ = ("allowed", "closing", "consumed", "ended", "limit", "received", "sent", "shut")

    def __init__(self) -> None:
        self.sent = self.limit = 0  # limit: up to where the peer lets us
        self.received = self.consumed = 0
        self.allowed = WINDOW  # up to where we let the peer
        self.shut = self.closing = False  # we said Shutdown, Close
        self.ended = False  # the peer said Shutdown


class Session:
    """One side of a session."""

    def __init__(self, side: Side, *, max_channels: int = MAX_CHANNELS) -> None:
        self._side = side
        self._max_channels = max_channels
        self._decoder = Decoder()
        self._channels: dict[int, _Channel] = {}
        self._next = 0 if side is Side.MACHINE else _NUMBERS - 1
        self._unsent = bytearray(multiplex.greeting())
        self._error: LinkError | None = None

    @property
    def channels(self) -> int:
        """How many are open, or wait for the peer's Close."""
        return len(self._channels)

    @property
    def is_greeted(self) -> bool:
        """Whether the peer has said that it speaks the protocol."""
        return self._decoder.is_greeted

    @property
    def unsent(self) -> int:
        """Bytes that `data_to_send` would give."""
        return len(self._unsent)

    def data_to_send(self) -> bytes:
        """What is to be sent, in order; it is given once."""
        data = bytes(self._unsent)
        self._unsent.clear()
        return data

    # What comes

    def data_received(self, data: bytes) -> list[Event]:
        """What `data` brought about, in order.

        Raises:
            LinkError: the peer breaks the rules, or the bounds. The session is over, now and
                for ever: close the stream and what the channels lead to.
        """
        if self._error is not None:
            raise self._error
        events: list[Event] = []
        try:
            for frame in self._decoder.received(data):
                self._frame(frame, events)
            if len(self._unsent) > MAX_UNSENT:
                raise LinkError("the peer asks for answers and does not read them")
        except LinkError as error:
            self._error = error
            self._channels.clear()
            raise
        return events

    def _frame(self, frame: Frame, events: list[Event]) -> None:
        if isinstance(frame, multiplex.Open):
            self._opened(frame, events)
            return
        number = frame.channel
        channel = self._channels.get(number)
        if channel is None:
            if isinstance(frame, multiplex.Close):
                raise LinkError(f"the peer closes channel {number}, which is not open")
            return
        match frame:
            case multiplex.Data():
                self._data(number, channel, frame.payload, events)
            case multiplex.Window():
                if frame.limit > channel.limit:  # two that overtook one another: the larger holds
                    channel.limit = frame.limit
                    if not channel.shut and not channel.closing:
                        events.append(Writable(number))
            case multiplex.Shutdown():
                if not channel.ended and not channel.closing:
                    events.append(Finished(number))
                channel.ended = True
            case multiplex.Close():
                self._emit_close(number, channel)
                del self._channels[number]
                events.append(Closed(number))

    def _opened(self, frame: multiplex.Open, events: list[Event]) -> None:
        if frame.dedicated:
            raise LinkError("the peer wants the whole stream for one connection")
        if frame.channel in self._channels:
            raise LinkError(f"the peer opens channel {frame.channel} twice")
        if len(self._channels) >= self._max_channels:
            raise LinkError(f"the peer opens more than {self._max_channels} channels")
        self._channels[frame.channel] = _Channel()
        self._emit(multiplex.Window(frame.channel, WINDOW))
        events.append(Opened(frame.channel, frame.destination))

    def _data(self, number: int, channel: _Channel, payload: bytes, events: list[Event]) -> None:
        channel.received += len(payload)
        if channel.received > channel.allowed:
            raise LinkError(f"the peer sends more on channel {number} than its window allows")
        if payload and not channel.ended and not channel.closing:
            events.append(Received(number, payload))

    # What is to be done

    def open(self, destination: Destination) -> int:
        """Open a channel; its number. It may be written to after the first `Writable`.

        Raises:
            LinkError: the session is over, or has `max_channels` already.
            ValueError: the destination's path or address is none.
        """
        if self._error is not None:
            raise self._error
        if len(self._channels) >= self._max_channels:
            raise LinkError(f"there are {self._max_channels} connections to the machine already")
        if destination.protocol is multiplex.Protocol.UNIX:
            if not 0 < len(destination.path) <= MAX_PATH:
                raise ValueError(f"the path of a socket has 1 to {MAX_PATH} bytes")
        elif len(destination.address) not in (4, 16):
            raise ValueError("an address has 4 or 16 bytes")
        number = self._next
        while number in self._channels:
            number = (number + self._side.value) % _NUMBERS
        self._next = (number + self._side.value) % _NUMBERS
        self._channels[number] = _Channel()
        self._emit(multiplex.Open(number, destination))
        self._emit(multiplex.Window(number, WINDOW))
        return number

    def room(self, number: int) -> int:
        """How much `send` would take now."""
        channel = self._channels.get(number)
        if channel is None or channel.shut or channel.closing:
            return 0
        return min(channel.limit - channel.sent, WINDOW)

    def send(self, number: int, data: bytes | memoryview) -> int:
        """Send the beginning of `data`, as much as there is room for; how much that was.

        Send the rest after `Writable`.
        """
        size = min(len(data), self.room(number))
        if size:
            self._channels[number].sent += size
            self._emit(multiplex.Data(number, bytes(data[:size])))
        return size

    def consumed(self, number: int, size: int) -> None:
        """So much of what was `Received` is no longer kept: the peer may send that much more.

        Raises:
            ValueError: more than was received.
        """
        channel = self._channels.get(number)
        if channel is None:
            return
        if size > channel.received - channel.consumed:
            raise ValueError("more is consumed than was received")
        channel.consumed += size
        wanted = not channel.ended and not channel.closing
        if wanted and channel.allowed - channel.consumed < WINDOW // 2:
            channel.allowed = channel.consumed + WINDOW
            self._emit(multiplex.Window(number, channel.allowed))

    def shutdown(self, number: int) -> None:
        """Send no more on a channel."""
        channel = self._channels.get(number)
        if channel is not None and not channel.shut and not channel.closing:
            channel.shut = True
            self._emit(multiplex.Shutdown(number))

    def close(self, number: int) -> None:
        """Give a channel up, in both directions. Only `Closed` is told of it from now on."""
        channel = self._channels.get(number)
        if channel is not None:
            self._emit_close(number, channel)

    def _emit_close(self, number: int, channel: _Channel) -> None:
        if not channel.closing:
            channel.closing = True
            self._emit(multiplex.Close(number))

    def _emit(self, frame: Frame) -> None:
        self._unsent += multiplex.emit(frame)
