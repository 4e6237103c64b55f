"""TCP segments (RFC 9293, section 3.1) and the options that a modern peer uses.

The structs and offsets serve code that fills headers in place; `Segment` serves everything
else.
"""

from __future__ import annotations

import struct
from enum import IntFlag

import msgspec

from sampan.net.wire.checksum import Buffer, checksum, pseudo_sum, residue
from sampan.net.wire.error import MalformedError
from sampan.net.wire.ipv4 import Protocol

HEADER = struct.Struct("!HHIIBBHHH")
HEADER_LENGTH = HEADER.size
MAX_HEADER_LENGTH = 60
CHECKSUM_OFFSET = 16
MAX_WINDOW_SHIFT = 14  # RFC 7323, 2.3
DEFAULT_MSS = 536  # RFC 9293, 3.7.1: what a peer that names none gets over IPv4

_END, _NOP, _MSS, _SHIFT, _SACK_OK, _SACK, _TIMESTAMP = 0, 1, 2, 3, 4, 5, 8
_MAX_SACK_BLOCKS = 4
_PROTOCOL = int(Protocol.TCP)
_TIMESTAMP_ONLY = b"\x01\x01\x08\x0a"  # how every stack lays out the timestamp option
_PAIR = struct.Struct("!II")
_USUAL_SYN = struct.Struct("!HH4sII3sB")  # how Linux lays out a SYN's: MSS, SACK, timestamp, shift
_USUAL_KINDS = 0x0204, b"\x04\x02\x08\x0a", b"\x01\x03\x03"


class Flag(IntFlag):
    """The control bits."""

    FIN = 1
    SYN = 2
    RST = 4
    PSH = 8
    ACK = 16
    URG = 32
    ECE = 64
    CWR = 128


class Options(msgspec.Struct, frozen=True, gc=False):
    """The options of one segment; None or empty where it has none.

    `mss` in bytes; `window_shift` as sent, unclamped; `timestamp` is (value, echo reply);
    `sack` holds up to four (start, end) blocks.
    """

    mss: int | None = None
    window_shift: int | None = None
    sack_permitted: bool = False
    timestamp: tuple[int, int] | None = None
    sack: tuple[tuple[int, int], ...] = ()

    @classmethod
    def parse(cls, data: Buffer) -> Options:
        """The options in `data`. Unknown ones, and known ones of a wrong length, are skipped.

        Raises:
            MalformedError: an option runs past the header.
        """
        if not data:
            return NO_OPTIONS
        if len(data) == 12 and data[:4] == _TIMESTAMP_ONLY:
            return cls(timestamp=_PAIR.unpack_from(data, 4))
        if len(data) == _USUAL_SYN.size:
            start, mss, middle, value, echo, end, shift = _USUAL_SYN.unpack(data)
            if (start, middle, end) == _USUAL_KINDS:
                return cls(mss, shift, True, (value, echo))
        found: dict[int, bytes] = {}
        position = 0
        while position < len(data) and data[position] != _END:
            if data[position] == _NOP:
                position += 1
                continue
            length = data[position + 1] if position + 1 < len(data) else 0
            if length < 2 or position + length > len(data):
                raise MalformedError("a TCP option that runs past the header")
            found.setdefault(data[position], bytes(data[position + 2 : position + length]))
            position += length
        return cls(
            mss=_number(found.get(_MSS), 2),
            window_shift=_number(found.get(_SHIFT), 1),
            sack_permitted=found.get(_SACK_OK) == b"",
            timestamp=_pair(found.get(_TIMESTAMP)),
            sack=_blocks(found.get(_SACK, b"")),
        )

    def emit(self) -> bytes:
        """The options' bytes, padded to a multiple of four as RFC 7323 lays them out."""
        out = b""
        if self.mss is not None:
            out += struct.pack("!BBH", _MSS, 4, self.mss)
        if self.sack_permitted:
            out += bytes([_SACK_OK, 2]) if self.timestamp else bytes([_NOP, _NOP, _SACK_OK, 2])
        if self.timestamp is not None:
            padding = b"" if self.sack_permitted else bytes([_NOP, _NOP])
            out += padding + struct.pack("!BBII", _TIMESTAMP, 10, *self.timestamp)
        if self.window_shift is not None:
            out += bytes([_NOP, _SHIFT, 3, self.window_shift])
        if self.sack:
            blocks = b"".join(struct.pack("!II", *block) for block in self.sack)
            out += bytes([_NOP, _NOP, _SACK, 2 + len(blocks)]) + blocks
        return out


NO_OPTIONS = Options()


def _number(data: bytes | None, length: int) -> int | None:
    return int.from_bytes(data, "big") if data is not None and len(data) == length else None


def _pair(data: bytes | None) -> tuple[int, int] | None:
    if data is None or len(data) != 8:
        return None
    return int.from_bytes(data[:4], "big"), int.from_bytes(data[4:], "big")


def _blocks(data: bytes) -> tuple[tuple[int, int], ...]:
    if len(data) % 8 or len(data) > 8 * _MAX_SACK_BLOCKS:
        return ()
    return tuple(struct.iter_unpack("!II", data))


class Segment(msgspec.Struct, frozen=True, gc=False):
    """A segment. `flags` are bits of `Flag`, `window` the field as sent, before scaling."""

    source_port: int
    destination_port: int
    sequence: int
    acknowledgment: int
    flags: int  # an enum's operators would cost more than all the rest
    window: int
    options: Options = NO_OPTIONS
    payload: bytes = b""
    urgent: int = 0

    @property
    def length(self) -> int:
        """How much sequence space it takes: its payload, and one each for SYN and FIN."""
        return len(self.payload) + (self.flags >> 1 & 1) + (self.flags & 1)

    @classmethod
    def parse(
        cls, data: Buffer, source: bytes, destination: bytes, *, check: bool = True
    ) -> Segment:
        """The segment that fills `data`, sent between two IP addresses of equal family.

        Raises:
            MalformedError: lengths that do not fit, bad options, or a wrong checksum (unless
                `check` is off, because a device has checked it or will make it).
        """
        if len(data) < HEADER_LENGTH:
            raise MalformedError(f"a TCP segment of {len(data)} bytes")
        source_port, port, sequence, ack, offset, flags, window, _, urgent = HEADER.unpack_from(
            data
        )
        header = (offset >> 4) * 4
        if not HEADER_LENGTH <= header <= len(data):
            raise MalformedError("a TCP header length that does not fit")
        if check:
            words = residue(source + destination) + _PROTOCOL + len(data) + residue(data)
            if words % 0xFFFF:  # never all zeros, as the protocol is not
                raise MalformedError("a wrong TCP checksum")
        options = Options.parse(data[HEADER_LENGTH:header])
        payload = bytes(data[header:])
        return cls(source_port, port, sequence, ack, flags, window, options, payload, urgent)

    def emit(self, source: bytes, destination: bytes, *, offload: bool = False) -> bytes:
        """The segment's bytes. With `offload` the device finishes the checksum."""
        options = self.options.emit()
        header = bytearray(HEADER.pack(
            self.source_port, self.destination_port, self.sequence, self.acknowledgment,
            (HEADER_LENGTH + len(options)) // 4 << 4, self.flags, self.window, 0, self.urgent,
        ))  # fmt: skip
        header += options
        length = len(header) + len(self.payload)
        total = pseudo_sum(source, destination, Protocol.TCP, length)
        if not offload:
            total = checksum(total.to_bytes(2, "big"), header, self.payload)
        header[CHECKSUM_OFFSET : CHECKSUM_OFFSET + 2] = total.to_bytes(2, "big")
        return bytes(header) + self.payload
