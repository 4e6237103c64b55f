"""VPNKit's forwarder protocol: many connections into a machine over one stream (vsock 62373).

Both sides send a greeting, then frames, all numbers little endian:

    length u16 (of the frame, itself included), command u8, channel id u32, body
    1 Open: connection u8 (1 dedicated, 2 multiplexed), destination
    2 Close      3 Shutdown (no more from this side)
    4 Data: length u32, and so many bytes of payload behind the frame
    5 Window: u64, up to which byte of the channel the peer may send from now on

This is the wire only: who opened what, and whether a window is kept, is the session's to know.
Memory is bounded: a frame by its u16, a payload by `MAX_PAYLOAD`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from sampan.net.link.error import LinkError

PORT = 62373
WINDOW = 65_536
MAX_PAYLOAD = WINDOW  # nobody may send more at once
_GREETING = b"https://github.com/moby/vpnkit multiplexer protocol\n"
_HEADER = struct.Struct("<HBI")
_OPEN, _CLOSE, _SHUTDOWN, _DATA, _WINDOW = 1, 2, 3, 4, 5


class Protocol(IntEnum):
    """What a destination speaks."""

    TCP = 1
    UDP = 2
    UNIX = 3


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a channel leads: an address of 4 or 16 bytes and a port, or the path of a socket."""

    protocol: Protocol
    address: bytes = b""
    port: int = 0
    path: bytes = b""

    def emit(self) -> bytes:
        """It as bytes."""
        if self.protocol is Protocol.UNIX:
            return struct.pack("<BH", self.protocol, len(self.path)) + self.path
        head = struct.pack("<BH", self.protocol, len(self.address))
        return head + self.address + self.port.to_bytes(2, "little")

    @classmethod
    def parse(cls, data: bytes) -> Destination:
        """The destination that fills `data`.

        Raises:
            LinkError: an unknown protocol, or lengths that do not fit.
        """
        if len(data) >= 3 and data[0] in tuple(Protocol):
            protocol, size = Protocol(data[0]), int.from_bytes(data[1:3], "little")
            text, rest = data[3 : 3 + size], data[3 + size :]
            if protocol is Protocol.UNIX and len(text) == size and not rest:
                return cls(protocol, path=text)
            if protocol is not Protocol.UNIX and len(text) == size in (4, 16) and len(rest) == 2:
                return cls(protocol, text, int.from_bytes(rest, "little"))
        raise LinkError("the peer opens a channel to a destination that makes no sense")


@dataclass(frozen=True, slots=True)
class Open:
    """Open a channel. A dedicated one takes the rest of the stream for itself."""

    channel: int
    destination: Destination
    dedicated: bool = False


@dataclass(frozen=True, slots=True)
class Close:
    """The channel is over."""

    channel: int


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Nothing more comes on the channel from this side."""

    channel: int


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes of a channel; at most what the peer's window allows."""

    channel: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Window:
    """The peer may send the channel's bytes up to `limit`, counted from its beginning."""

    channel: int
    limit: int


Frame: TypeAlias = Open | Close | Shutdown | Data | Window


def greeting(payload: bytes = b"") -> bytes:
    """What each side sends first."""
    return _GREETING + len(payload).to_bytes(2, "little") + payload


def emit(frame: Frame) -> bytes:
    """A frame's bytes, the payload included."""
    match frame:
        case Open(channel, destination, dedicated):
            return _framed(_OPEN, channel, bytes([1 if dedicated else 2]) + destination.emit())
        case Close(channel):
            return _framed(_CLOSE, channel)
        case Shutdown(channel):
            return _framed(_SHUTDOWN, channel)
        case Data(channel, payload):
            return _framed(_DATA, channel, len(payload).to_bytes(4, "little")) + payload
        case Window(channel, limit):
            return _framed(_WINDOW, channel, limit.to_bytes(8, "little"))


class Decoder:
    """Frames out of a stream's bytes. After a dedicated `Open`, `rest` is the channel's."""

    def __init__(self) -> None:
        self.rest = b""
        self._greeted = False
        self._dedicated = False

    @property
    def is_greeted(self) -> bool:
        """Whether the greeting was there."""
        return self._greeted

    def received(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes.

        Raises:
            LinkError: the peer speaks something else; close the connection.
        """
        self.rest += data
        frames: list[Frame] = []
        if not self._greeted and not self._greet():
            return frames
        start = 0  # of the next frame; what is before it goes at the end, once for all of them
        while not self._dedicated:
            found = self._frame(start)
            if found is None:
                break
            frame, start = found
            frames.append(frame)
            self._dedicated = isinstance(frame, Open) and frame.dedicated
        self.rest = self.rest[start:]
        return frames

    def _greet(self) -> bool:
        size = len(_GREETING)
        if not _GREETING.startswith(self.rest[:size]):
            raise LinkError("the peer does not speak VPNKit's forwarder protocol")
        if len(self.rest) < size + 2:
            return False
        end = size + 2 + int.from_bytes(self.rest[size : size + 2], "little")
        if len(self.rest) < end:
            return False
        self.rest = self.rest[end:]
        self._greeted = True
        return True

    def _frame(self, start: int) -> tuple[Frame, int] | None:
        """The frame that begins at `start`, and where the next one does; None if it is not whole.

        Raises:
            LinkError: it makes no sense.
        """
        data = self.rest
        if len(data) - start < _HEADER.size:
            return None
        length, command, channel = _HEADER.unpack_from(data, start)
        if length < _HEADER.size:
            raise LinkError(f"the peer sends a frame of {length} bytes")
        end = start + length
        if len(data) < end:
            return None
        body = data[start + _HEADER.size : end]
        if command == _DATA and len(body) == 4:
            size = int.from_bytes(body, "little")
            if size > MAX_PAYLOAD:
                raise LinkError(f"the peer sends {size} bytes at once")
            if len(data) < end + size:
                return None
            return Data(channel, data[end : end + size]), end + size
        return _plain(command, channel, body), end


def _plain(command: int, channel: int, body: bytes) -> Frame:
    """A frame without a payload.

    Raises:
        LinkError: it is none.
    """
    if command == _OPEN and body[:1] in (b"\1", b"\2"):
        return Open(channel, Destination.parse(body[1:]), body[0] == 1)
    if command == _CLOSE and not body:
        return Close(channel)
    if command == _SHUTDOWN and not body:
        return Shutdown(channel)
    if command == _WINDOW and len(body) == 8:
        return Window(channel, int.from_bytes(body, "little"))
    raise LinkError(f"the peer sends command {command}, which makes no sense")


def _framed(command: int, channel: int, body: bytes = b"") -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), command, channel) + body
