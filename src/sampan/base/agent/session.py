"""Calls over one stream: a session of channels with flow control, without any I/O.

Theory of operation. The caller (the host) greets with a nonce, the server (the guest's agent)
welcomes it with the same; each new greeting ends the session before it on both sides. Then the
caller opens channels, each for one call of a method: bodies are JSON that this module does not
read, bytes go both ways in numbered streams (0 to the server; 1 and 2 from it), notes at any
time, and the server's answer ends the channel. `reset` ends it early, from either side; frames
for channels that are over are dropped.

Goals: nobody waits for a peer that has gone back in time or was exchanged (LOST, a greeting with
another nonce: the session is down, and the caller greets anew); a channel whose reader is slow
holds up no other, and no more than `WINDOW` bytes of it are in memory; a peer that says more
than it may costs the session, never memory or an exception.

May not know: sockets, clocks, randomness (nonces are given), JSON, and what a method does.
After each call that may have something to say, send `data_to_send()`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from sampan.base.agent import wire
from sampan.base.agent.wire import MAX_PAYLOAD, NO_NONCE, Hello

WINDOW = 128 << 10  # bytes of a channel that may be under way, both output streams together
MAX_CHANNELS = 64
PIECE = MAX_PAYLOAD - 1  # bytes of a stream in one frame
_U32 = struct.Struct("<I")

UP = "up"  # data: what the peer says about itself
DOWN = "down"  # data: why; all channels are over
OPENED = "opened"  # to the server; data: what is called
RECEIVED = "received"  # data of a stream: tell `consumed`
ENDED = "ended"  # nothing more comes in a stream
ROOM = "room"  # size: so many more bytes may be sent
NOTED = "noted"
ANSWERED = "answered"  # to the caller; the channel is over
RESET = "reset"  # the channel is over


class Event(NamedTuple):
    """Something that happened, in the past tense; `kind` is one of the names above."""

    kind: str
    channel: int = 0
    stream: int = 0
    data: bytes = b""
    size: int = 0


class ChannelLimitError(Exception):
    """Our caller opens more channels than there may be."""


class _Channel:
    __slots__ = ("credit", "granted", "taken")

    def __init__(self) -> None:
        self.credit = WINDOW  # what we may send
        self.granted = WINDOW  # what the peer may send
        self.taken = 0  # of what it sent, not granted again yet


class Session:
    """What is the same for both sides."""

    def __init__(self) -> None:
        self._encoder = wire.Encoder()
        self._decoder = wire.Decoder()
        self._out = bytearray()
        self._events: list[Event] = []
        self._channels: dict[int, _Channel] = {}
        self._handlers: dict[int, Callable[[int, bytes], None]] = {
            wire.DATA: self._data,
            wire.END: self._end,
            wire.WINDOW: self._window,
            wire.NOTE: self._note,
            wire.RESET: self._reset,
        }
        self.is_up = False

    @property
    def channels(self) -> frozenset[int]:
        """The channels that are open."""
        return frozenset(self._channels)

    @property
    def unsent_bytes(self) -> int:
        """How much `data_to_send` would give."""
        return len(self._out)

    def data_to_send(self) -> bytes:
        """What the peer has to be sent; once."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def events(self) -> list[Event]:
        """What happened since the last time."""
        events, self._events = self._events, []
        return events

    def received(self, data: bytes) -> None:
        """The peer said this."""
        for kind, channel, payload in self._decoder.received(data):
            if kind == wire.HELLO:
                hello = Hello.parse(payload)
                assert hello is not None  # the decoder has seen to it
                self._greeted(hello)
            elif kind == wire.LOST:
                self._lost("what it said is not what it should have")
            elif self.is_up:
                handler = self._handlers.get(kind)
                if handler is not None:  # later versions may say more
                    handler(channel, payload)

    def room(self, channel: int) -> int:
        """How many bytes may be sent in a channel now; 0 if it is over."""
        state = self._channels.get(channel)
        return 0 if state is None else state.credit

    def send(self, channel: int, stream: int, data: bytes) -> int:
        """Send as much of `data` as there is room for; how much that is."""
        size = min(self.room(channel), len(data))
        if size:
            self._channels[channel].credit -= size
            head = bytes([stream])
            for start in range(0, size, PIECE):
                piece = data[start : min(size, start + PIECE)]
                self._emit(wire.DATA, channel, head + piece)
        return size

    def end(self, channel: int, stream: int) -> None:
        """Say that nothing more comes in a stream."""
        self._emit(wire.END, channel, bytes([stream]))

    def note(self, channel: int, body: bytes) -> None:
        """Say something beside the streams."""
        self._emit(wire.NOTE, channel, body)

    def consumed(self, channel: int, size: int) -> None:
        """So many bytes of the channel are out of memory: the peer may send as many more."""
        state = self._channels.get(channel)
        if state is None:
            return
        state.taken += size
        if state.taken >= WINDOW // 4:
            self._emit(wire.WINDOW, channel, _U32.pack(state.taken))
            state.granted += state.taken
            state.taken = 0

    def reset(self, channel: int) -> None:
        """End a channel; what still comes for it is dropped."""
        self._emit(wire.RESET, channel)
        self._channels.pop(channel, None)

    def _emit(self, kind: int, channel: int, payload: bytes = b"") -> None:
        """Send a frame, unless its channel is over."""
        if channel in self._channels:
            self._out += self._encoder.emit(kind, channel, payload)

    def _say(self, kind: str, channel: int = 0, stream: int = 0, data: bytes = b"") -> None:
        self._events.append(Event(kind, channel, stream, data))

    def _down(self, why: str) -> None:
        """The session is over."""
        self._channels.clear()
        if self.is_up:
            self.is_up = False
            self._say(DOWN, data=why.encode())

    def _greeted(self, hello: Hello) -> None:
        raise NotImplementedError

    def _lost(self, why: str) -> None:
        raise NotImplementedError

    def _data(self, channel: int, payload: bytes) -> None:
        state = self._channels.get(channel)
        if state is None or not payload:
            return
        state.granted -= len(payload) - 1
        if state.granted < 0:
            self._lost("it sends more than it may")
        else:
            self._say(RECEIVED, channel, payload[0], payload[1:])

    def _end(self, channel: int, payload: bytes) -> None:
        if channel in self._channels and payload:
            self._say(ENDED, channel, payload[0])

    def _window(self, channel: int, payload: bytes) -> None:
        state = self._channels.get(channel)
        if state is None or len(payload) != _U32.size:
            return
        [size] = _U32.unpack(payload)
        if state.credit + size > WINDOW:
            self._lost("it takes more than was sent")
            return
        state.credit += size
        self._events.append(Event(ROOM, channel, size=size))

    def _note(self, channel: int, payload: bytes) -> None:
        if channel in self._channels:
            self._say(NOTED, channel, data=payload)

    def _reset(self, channel: int, payload: bytes) -> None:
        del payload
        if self._channels.pop(channel, None) is not None:
            self._say(RESET, channel)


class Caller(Session):
    """The side that opens channels. `nonces` gives 16 random bytes each time."""

    def __init__(self, nonces: Callable[[], bytes]) -> None:
        super().__init__()
        self._nonces = nonces
        self._nonce = b""
        self._last = 0
        self._handlers[wire.ANSWER] = self._answer

    def hello(self, why: str = "the session was begun anew") -> None:
        """Begin a session; the one before it, if any, is over."""
        self._down(why)
        self._decoder.hunt()
        self._last = 0
        self._nonce = self._nonces()
        # whatever else was to be said belonged to the session before
        greeting = Hello(wire.VERSION, self._nonce, b"")
        self._out[:] = self._encoder.greet(greeting, filled=True)

    def open(self, body: bytes) -> int:
        """Call a method; the new channel.

        Raises:
            ChannelLimitError: there are too many, or there is no session.
        """
        if not self.is_up or len(self._channels) >= MAX_CHANNELS:
            raise ChannelLimitError
        self._last += 1
        self._channels[self._last] = _Channel()
        self._emit(wire.OPEN, self._last, body)
        return self._last

    def _greeted(self, hello: Hello) -> None:
        if hello.nonce == NO_NONCE:
            self._lost("it was started anew")
        elif hello.nonce == self._nonce and not self.is_up:
            if hello.version != wire.VERSION:
                self._say(DOWN, data=f"it speaks version {hello.version}".encode())
                return
            self.is_up = True
            self._say(UP, data=hello.info)

    def _lost(self, why: str) -> None:
        if self.is_up or not self._out:  # else a greeting is on its way
            self.hello(why)

    def _answer(self, channel: int, payload: bytes) -> None:
        if self._channels.pop(channel, None) is not None:
            self._say(ANSWERED, channel, data=payload)


class Server(Session):
    """The side that is called. Answer the event UP with `welcome`."""

    def __init__(self) -> None:
        super().__init__()
        self._nonce = b""
        self._handlers[wire.OPEN] = self._open

    def announce(self) -> None:
        """Say that a session is to be begun."""
        self._channels.clear()
        self.is_up = False
        greeting = Hello(wire.VERSION, NO_NONCE, b"")
        self._out[:] = self._encoder.greet(greeting, filled=True)

    def welcome(self, info: bytes) -> None:
        """Agree to the caller's greeting, and say who is here."""
        greeting = Hello(wire.VERSION, self._nonce, info)
        self._out += self._encoder.greet(greeting, filled=False)

    def answer(self, channel: int, body: bytes) -> None:
        """End a channel with an answer."""
        self._emit(wire.ANSWER, channel, body)
        self._channels.pop(channel, None)

    def _greeted(self, hello: Hello) -> None:
        if hello.nonce == NO_NONCE:
            return
        self._down("a new session began")
        self._out.clear()
        self._nonce = hello.nonce
        self.is_up = True
        self._say(UP)

    def _lost(self, why: str) -> None:
        self._down(why)
        self._decoder.hunt()
        if not self._out:  # the caller has still to take something: it is no use to say more
            self.announce()

    def _open(self, channel: int, payload: bytes) -> None:
        if channel in self._channels:
            self._lost("it opens a channel twice")
        elif len(self._channels) >= MAX_CHANNELS:
            self._channels[channel] = _Channel()
            self.reset(channel)
        else:
            self._channels[channel] = _Channel()
            self._say(OPENED, channel, data=payload)
