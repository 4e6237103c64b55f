"""Frames of the agent's protocol, on a byte stream that may break off and go on elsewhere.

A frame, all numbers little endian::

    length u32 (of the payload, at most 32 KiB), checksum u32, channel u32, kind u8, payload

The checksum (CRC-32 of channel, kind and payload) goes on from that of the frame before in the
same direction: whatever is lost, doubled or left from another session is noticed with the next
frame, and nothing of it is taken for data. That happens: a machine that is restored has its old
session in memory, half a frame included, and a serial port does not tell.

Sessions begin with a greeting: filler, longer than any frame so that it completes the one that
the peer is reading (whose checksum is then wrong), a mark, and a HELLO, whose checksum is of
itself alone. A decoder that has lost its place hunts for the mark.

Bounds: a decoder holds no more than one frame and what it is given at once.
"""

from __future__ import annotations

import binascii
import struct
from typing import NamedTuple

VERSION = 1
MAX_PAYLOAD = 32 << 10
NONCE_BYTES = 16
MARK = b"\xff\xff\xff\xff sampan agent\r\n"

HELLO = 0  # version u8, nonce, JSON about who greets; channel 0
OPEN = 1  # caller: a new channel; JSON of what is called
DATA = 2  # stream u8, bytes
END = 3  # stream u8: nothing more in that stream
WINDOW = 4  # u32: so many more bytes may be sent in the channel
ANSWER = 5  # server: JSON of how it ended; the channel is over
NOTE = 6  # JSON, at any time while the channel is open
RESET = 7  # the channel is over without an answer
LOST = 255  # never on the wire: the decoder has lost its place

_HEADER = struct.Struct("<IIIB")
_SUMMED = struct.Struct("<IB")
_FILLER = b"\xff" * (MAX_PAYLOAD + _HEADER.size)
_FILLED = _FILLER[: _HEADER.size]  # a header within filler
_HUNTING, _MARKED, _READING = range(3)


class Frame(NamedTuple):
    """One frame; with kind LOST, the notice that some were lost."""

    kind: int
    channel: int
    payload: bytes


class Hello(NamedTuple):
    """What a HELLO says. All zeros for a nonce: the server is new, or has lost its place."""

    version: int
    nonce: bytes
    info: bytes

    def emit(self) -> bytes:
        """It as a payload."""
        return bytes([self.version]) + self.nonce + self.info

    @classmethod
    def parse(cls, payload: bytes) -> Hello | None:
        """What `payload` says; None if it is too short to say anything."""
        if len(payload) < 1 + NONCE_BYTES:
            return None
        return cls(payload[0], payload[1 : 1 + NONCE_BYTES], payload[1 + NONCE_BYTES :])


NO_NONCE = bytes(NONCE_BYTES)


def _checksum(before: int, channel: int, kind: int, payload: bytes) -> int:
    return binascii.crc32(payload, binascii.crc32(_SUMMED.pack(channel, kind), before))


class Encoder:
    """Frames as bytes, in the order in which they are sent."""

    def __init__(self) -> None:
        self._sum = 0

    def greet(self, hello: Hello, *, filled: bool) -> bytes:
        """A greeting; `filled` when the peer may be reading something else."""
        self._sum = 0
        said = self.emit(HELLO, 0, hello.emit())
        self._sum = binascii.crc32(hello.nonce)
        return (_FILLER if filled else b"") + MARK + said

    def emit(self, kind: int, channel: int, payload: bytes = b"") -> bytes:
        """A frame's bytes."""
        assert len(payload) <= MAX_PAYLOAD
        self._sum = _checksum(self._sum, channel, kind, payload)
        return _HEADER.pack(len(payload), self._sum, channel, kind) + payload


class Decoder:
    """Frames out of bytes. It starts by hunting for a greeting."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._state = _HUNTING
        self._sum = 0

    def hunt(self) -> None:
        """Forget what was heard, and wait for the next greeting."""
        self._buffer.clear()
        self._state = _HUNTING

    def received(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes; LOST where what comes then makes no sense."""
        self._buffer += data
        frames: list[Frame] = []
        start: int | None = 0
        while start is not None:
            at = start
            start = self._seek(at) if self._state == _HUNTING else self._read(at, frames)
            if start is None:
                del self._buffer[:at]
        return frames

    def _seek(self, start: int) -> int | None:
        """Where the next mark ends; None if there is none, and what cannot be part of one goes."""
        found = self._buffer.find(MARK, start)
        if found < 0:
            del self._buffer[start : max(start, len(self._buffer) - len(MARK) + 1)]
            return None
        self._state, self._sum = _MARKED, 0
        return found + len(MARK)

    def _read(self, start: int, frames: list[Frame]) -> int | None:
        """Take the frame at `start`, and say where the next one begins; None if it is not whole."""
        if len(self._buffer) - start < _HEADER.size:
            return None
        length: int
        length, checksum, channel, kind = _HEADER.unpack_from(self._buffer, start)
        if length > MAX_PAYLOAD:
            return self._lose(start, frames, told=self._buffer.startswith(_FILLED, start))
        begin = start + _HEADER.size
        if len(self._buffer) < begin + length:
            return None
        payload = bytes(self._buffer[begin : begin + length])
        self._sum = _checksum(self._sum, channel, kind, payload)
        if checksum != self._sum or (self._state == _MARKED) != (kind == HELLO):
            return self._lose(start, frames, told=self._state == _MARKED)
        if kind == HELLO:
            hello = Hello.parse(payload)
            if hello is None:
                return self._lose(start, frames, told=True)
            self._state, self._sum = _READING, binascii.crc32(hello.nonce)
        frames.append(Frame(kind, channel, payload))
        return begin + length

    def _lose(self, start: int, frames: list[Frame], *, told: bool) -> int:
        """Hunt from `start` on. `told`: a greeting comes, or did not succeed; that is no news."""
        self._state = _HUNTING
        if not told:
            frames.append(Frame(LOST, 0, b""))
        return start
