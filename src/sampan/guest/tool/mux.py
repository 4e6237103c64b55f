"""VPNKit's forwarder protocol, the machine's side: the host's connections in one stream; pure.

Frames, all numbers little endian: length u16 (itself included), command u8, channel u32, body:

    1 Open: connection u8 (2: one of many), destination     4 Data: length u32; payload follows
    2 Close     3 Shutdown                                  5 Window: u64

    received(bytes) → events                     then send `unsent`
    send, shutdown, close                        answers on a channel; `room` says how much it takes
    consumed(channel, size)                      what came has found its way on

Both sides send a greeting at once. A side may send on a channel up to the byte that the other's
last Window said, which first comes with the opening. Each side sends Close once; without a
Shutdown before it, it is a break. Frames of channels that are gone are dropped.
"""

from __future__ import annotations

import struct

from sampan.guest.agent.fault import AgentError

WINDOW = 65536
MAX_CHANNELS = 4096
MAX_UNSENT = 4 << 20
TCP, UDP, UNIX = 1, 2, 3
_GREETING = b"https://github.com/moby/vpnkit multiplexer protocol\n"
_HEADER = struct.Struct("<HBI")
_OPEN, _CLOSE, _SHUTDOWN, _DATA, _WINDOW = 1, 2, 3, 4, 5
_MULTIPLEXED = 2


class Destination:
    """Where a channel leads: an address (4 or 16 bytes) and a port, or a path."""

    __slots__ = ("address", "path", "port", "protocol")

    def __init__(
        self, protocol: int, address: bytes = b"", port: int = 0, path: bytes = b""
    ) -> None:
        self.protocol = protocol
        self.address = address
        self.port = port
        self.path = path


class Event:
    """What happened on a channel: one of `opened`, `data`, `room`, `finished`, `closed`."""

    __slots__ = ("channel", "data", "destination", "kind")

    def __init__(
        self, kind: str, channel: int, data: bytes = b"", destination: Destination | None = None
    ) -> None:
        self.kind = kind
        self.channel = channel
        self.data = data
        self.destination = destination


class _Channel:
    """Counts of one channel, in bytes from its beginning."""

    __slots__ = ("allowed", "closing", "consumed", "ended", "limit", "received", "sent", "shut")

    def __init__(self) -> None:
        self.sent = self.limit = 0
        self.received = self.consumed = 0
        self.allowed = WINDOW
        self.shut = self.closing = self.ended = False


class Mux:
    """One session."""

    def __init__(self) -> None:
        self.unsent = bytearray(_GREETING + b"\0\0")
        self._greeted = False
        self._rest = b""
        self._channels: dict[int, _Channel] = {}

    def received(self, data: bytes) -> list[Event]:
        """What `data` brought about, in order.

        Raises:
            AgentError: the peer breaks the rules; close the stream.
        """
        self._rest += data
        events: list[Event] = []
        if not self._greeted and not self._greet():
            return events
        start = 0
        while (end := self._frame(start, events)) is not None:
            start = end
        self._rest = self._rest[start:]
        if len(self.unsent) > MAX_UNSENT:
            raise AgentError("the host asks for answers and does not read them")
        return events

    def room(self, number: int) -> int:
        """How much `send` takes on a channel."""
        channel = self._channels.get(number)
        if channel is None or channel.shut or channel.closing:
            return 0
        return min(channel.limit - channel.sent, WINDOW)

    def send(self, number: int, data: bytes) -> None:
        """Send `data`, which is no more than there is room for."""
        self._channels[number].sent += len(data)
        self._emit(_DATA, number, len(data).to_bytes(4, "little"))
        self.unsent += data

    def consumed(self, number: int, size: int) -> None:
        """So much of what came is no longer kept: the host may send that much more."""
        channel = self._channels.get(number)
        if channel is None:
            return
        channel.consumed += size
        wanted = not channel.ended and not channel.closing
        if wanted and channel.allowed - channel.consumed < WINDOW // 2:
            channel.allowed = channel.consumed + WINDOW
            self._emit(_WINDOW, number, channel.allowed.to_bytes(8, "little"))

    def shutdown(self, number: int) -> None:
        """Send no more on a channel."""
        channel = self._channels.get(number)
        if channel is not None and not channel.shut and not channel.closing:
            channel.shut = True
            self._emit(_SHUTDOWN, number)

    def close(self, number: int) -> None:
        """Give a channel up; only `closed` is told of it from now on."""
        channel = self._channels.get(number)
        if channel is not None and not channel.closing:
            channel.closing = True
            self._emit(_CLOSE, number)

    def _greet(self) -> bool:
        size = len(_GREETING)
        if not _GREETING.startswith(self._rest[:size]):
            raise AgentError("the host does not speak VPNKit's protocol")
        end = size + 2 + int.from_bytes(self._rest[size : size + 2], "little")
        if len(self._rest) < size + 2 or len(self._rest) < end:
            return False
        self._rest = self._rest[end:]
        self._greeted = True
        return True

    def _frame(self, start: int, events: list[Event]) -> int | None:
        """Do what the frame at `start` says; where the next one begins, None if it is not whole."""
        data = self._rest
        if len(data) - start < _HEADER.size:
            return None
        length, command, number = _HEADER.unpack_from(data, start)
        end: int = start + length
        if length < _HEADER.size:
            raise AgentError(f"the host sends a frame of {length} bytes")
        if len(data) < end:
            return None
        body = data[start + _HEADER.size : end]
        if command == _DATA and len(body) == 4:
            size = int.from_bytes(body, "little")
            if size > WINDOW:
                raise AgentError(f"the host sends {size} bytes at once")
            if len(data) < end + size:
                return None
            self._data(number, data[end : end + size], events)
            return end + size
        self._plain(command, number, body, events)
        return end

    def _data(self, number: int, payload: bytes, events: list[Event]) -> None:
        channel = self._channels.get(number)
        if channel is None:
            return
        channel.received += len(payload)
        if channel.received > channel.allowed:
            raise AgentError("the host sends more than a window allows")
        if payload and not channel.ended and not channel.closing:
            events.append(Event("data", number, payload))

    def _plain(self, command: int, number: int, body: bytes, events: list[Event]) -> None:
        channel = self._channels.get(number)
        if command == _OPEN:
            self._opened(number, body, events)
        elif command == _WINDOW and len(body) == 8:
            limit = int.from_bytes(body, "little")
            if channel is not None and limit > channel.limit:
                channel.limit = limit
                events.append(Event("room", number))
        elif command == _SHUTDOWN and not body:
            if channel is not None and not channel.ended:
                channel.ended = True
                events.append(Event("finished", number))
        elif command == _CLOSE and not body:
            if channel is None:
                raise AgentError(f"the host closes channel {number}, which is not open")
            self.close(number)
            del self._channels[number]
            events.append(Event("closed", number))
        else:
            raise AgentError(f"the host sends command {command}, which makes no sense")

    def _opened(self, number: int, body: bytes, events: list[Event]) -> None:
        if body[:1] != bytes([_MULTIPLEXED]):
            raise AgentError("the host wants the whole stream for one connection")
        if number in self._channels or len(self._channels) >= MAX_CHANNELS:
            raise AgentError(f"the host opens channel {number}, which cannot be")
        destination = _destination(body[1:])
        self._channels[number] = _Channel()
        self._emit(_WINDOW, number, WINDOW.to_bytes(8, "little"))
        events.append(Event("opened", number, destination=destination))

    def _emit(self, command: int, number: int, body: bytes = b"") -> None:
        self.unsent += _HEADER.pack(_HEADER.size + len(body), command, number) + body


def _destination(data: bytes) -> Destination:
    protocol = data[0] if data else 0
    size = int.from_bytes(data[1:3], "little")
    text, rest = data[3 : 3 + size], data[3 + size :]
    if len(text) == size:
        if protocol == UNIX and not rest and text:
            return Destination(UNIX, path=text)
        if protocol in (TCP, UDP) and size in (4, 16) and len(rest) == 2:
            return Destination(protocol, text, int.from_bytes(rest, "little"))
    raise AgentError("the host opens a channel to a destination that makes no sense")
