"""Captures in the pcapng format, which Wireshark reads, with names and comments.

A file is a section header, an interface for each link, then packets and, whenever one is
learnt, names of addresses. The functions return blocks of bytes to append to a file; a block
written is never changed, so a capture that ends by a crash can be read.

`read` understands what is written here and passes over other blocks; it serves tests and the
`capture` verb's filter of old files. `Splitter` takes a capture that comes in pieces apart into
blocks. The format: draft-ietf-opsawg-pcapng.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from sampan.net.link.error import LinkError
from sampan.net.wire.checksum import Buffer

MAX_BLOCK = 1 << 20
_SECTION, _INTERFACE, _PACKET, _NAMES = 0x0A0D0D0A, 1, 6, 4
_BYTE_ORDER = 0x1A2B3C4D
_ETHERNET = 1
_NANOSECONDS = 9  # the resolution of time stamps, as a negative power of ten
_END, _COMMENT, _NAME, _FLAGS, _RESOLUTION, _APPLICATION = 0, 1, 2, 2, 9, 4
_BLOCK = struct.Struct("<II")
_SECTION_BODY = struct.Struct("<IHHq")
_INTERFACE_BODY = struct.Struct("<HHI")
_PACKET_BODY = struct.Struct("<IIIII")
_OPTION = struct.Struct("<HH")
_IPV4_RECORD, _IPV6_RECORD = 1, 2


class Direction(IntEnum):
    """Which way a packet went, seen from the machine's interface."""

    UNKNOWN = 0
    IN = 1
    OUT = 2


@dataclass(frozen=True, slots=True)
class Packet:
    """A frame as captured: `length` is its real length, `data` perhaps only its beginning."""

    interface: int
    time_ns: int
    data: bytes
    length: int
    direction: Direction = Direction.UNKNOWN
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Interface:
    """A link of the capture, numbered from 0 in the order they stand in the file."""

    name: str
    snap_length: int = 0


@dataclass(frozen=True, slots=True)
class Names:
    """Names by address, 4 or 16 bytes each."""

    names: Mapping[bytes, tuple[str, ...]]


class Block(NamedTuple):
    """A whole block of a capture: a frame, names of addresses, or else a head of either."""

    data: bytes
    is_packet: bool
    is_names: bool


class Splitter:
    """Whole blocks out of a capture of little-endian blocks that comes in pieces of any size."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._is_begun = False

    def received(self, data: bytes) -> list[Block]:
        """The blocks that are complete now; at most `MAX_BLOCK` bytes are kept for the next.

        Raises:
            LinkError: it is no such capture.
        """
        rest, found, position = self._rest, [], 0
        rest += data
        while position + _BLOCK.size <= len(rest):
            kind, length = _BLOCK.unpack_from(rest, position)
            if length % 4 or not 12 <= length <= MAX_BLOCK or self._is_begun is (kind == _SECTION):
                raise LinkError("this is no pcapng capture, or it is damaged")
            if position + length > len(rest):
                break
            self._is_begun = True
            block = bytes(rest[position : position + length])
            found.append(Block(block, kind == _PACKET, kind == _NAMES))
            position += length
        del rest[:position]
        return found


def section(application: str = "sampan", comment: str = "") -> bytes:
    """The block every file begins with."""
    body = _SECTION_BODY.pack(_BYTE_ORDER, 1, 0, -1)
    return _block(_SECTION, body + _texts((_COMMENT, comment), (_APPLICATION, application)))


def interface(name: str, snap_length: int = 0) -> bytes:
    """An Ethernet link; frames are cut to `snap_length` bytes, 0 for not at all."""
    options = _texts((_NAME, name)) + _option(_RESOLUTION, bytes([_NANOSECONDS]))
    return _block(_INTERFACE, _INTERFACE_BODY.pack(_ETHERNET, 0, snap_length) + options)


def packet(
    frame: Buffer,
    time_ns: int,
    *,
    interface: int = 0,
    length: int = 0,
    direction: Direction = Direction.UNKNOWN,
    comment: str = "",
) -> bytes:
    """A frame of an interface, seen `time_ns` after 1970.

    `length` is what the frame had before the caller cut it, if it did.
    """
    body = _PACKET_BODY.pack(
        interface, time_ns >> 32 & 0xFFFFFFFF, time_ns & 0xFFFFFFFF, len(frame),
        max(length, len(frame)),
    )  # fmt: skip
    options = _texts((_COMMENT, comment))
    if direction:
        options += _option(_FLAGS, direction.to_bytes(4, "little"))
    return _block(_PACKET, body + _padded(bytes(frame)) + options)


def names(by_address: Mapping[bytes, tuple[str, ...]]) -> bytes:
    """Names that addresses (4 or 16 bytes) have, from here on and before."""
    body = b""
    for address, texts in by_address.items():
        kind = _IPV4_RECORD if len(address) == 4 else _IPV6_RECORD
        value = address
        for text in map(_text, texts):
            if len(value) + len(text) < 0xFFFF:  # a record has 16 bits for its length
                value += text + b"\0"
        body += _option(kind, value)
    return _block(_NAMES, body + _OPTION.pack(0, 0))


def read(data: bytes) -> Iterator[Interface | Packet | Names]:
    """What a capture of little-endian blocks holds.

    Raises:
        LinkError: it is no such capture, or cut in the middle.
    """
    position = 0
    while position < len(data):
        kind, length = _unpack(_BLOCK, data, position)
        if position == 0 and kind != _SECTION:
            raise LinkError("this is no pcapng capture")
        if length % 4 or not 12 <= length <= MAX_BLOCK or position + length > len(data):
            raise LinkError(f"the capture is damaged or cut at byte {position}")
        body = data[position + 8 : position + length - 4]
        position += length
        if kind == _SECTION:
            if _unpack(_SECTION_BODY, body)[0] != _BYTE_ORDER:
                raise LinkError("the capture is of another byte order")
        elif kind == _INTERFACE:
            snap = _unpack(_INTERFACE_BODY, body)[2]
            yield Interface(_decoded(dict(_options(body[8:])).get(_NAME, b"")), snap)
        elif kind == _PACKET:
            yield _read_packet(body)
        elif kind == _NAMES:
            yield _read_names(body)


def _read_packet(body: bytes) -> Packet:
    number, high, low, captured, length = _unpack(_PACKET_BODY, body)
    start = _PACKET_BODY.size
    if start + captured > len(body):
        raise LinkError("a packet that runs past its block")
    options = dict(_options(body[start + captured + -captured % 4 :]))
    flags = int.from_bytes(options.get(_FLAGS, b"")[:4], "little") & 3
    direction = Direction(flags) if flags < 3 else Direction.UNKNOWN
    data = body[start : start + captured]
    comment = _decoded(options.get(_COMMENT, b""))
    return Packet(number, high << 32 | low, data, length, direction, comment)


def _read_names(body: bytes) -> Names:
    found: dict[bytes, tuple[str, ...]] = {}
    for kind, value in _options(body):
        width = {_IPV4_RECORD: 4, _IPV6_RECORD: 16}.get(kind, len(value))
        texts = value[width:].split(b"\0")[:-1]
        if texts:
            found[value[:width]] = tuple(map(_decoded, texts))
    return Names(found)


def _options(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        code, length = _unpack(_OPTION, data, position)
        if code == _END:
            return
        position += _OPTION.size
        if position + length > len(data):
            raise LinkError("an option that runs past its block")
        yield code, data[position : position + length]
        position += length + -length % 4


def _unpack(layout: struct.Struct, data: bytes, position: int = 0) -> tuple[int, ...]:
    if position + layout.size > len(data):
        raise LinkError("the capture is damaged or cut")
    return layout.unpack_from(data, position)


def _block(kind: int, body: bytes) -> bytes:
    length = 12 + len(body)
    return _BLOCK.pack(kind, length) + body + struct.pack("<I", length)


def _texts(*options: tuple[int, str]) -> bytes:
    return b"".join(_option(code, _text(text)) for code, text in options if text)


def _option(code: int, value: bytes) -> bytes:
    """One option. They need no end mark where the block ends."""
    return _OPTION.pack(code, len(value)) + _padded(value)


def _padded(value: bytes) -> bytes:
    return value + bytes(-len(value) % 4)


def _text(text: str) -> bytes:
    return text.encode(errors="replace").replace(b"\0", b"")[:0xFFF0]


def _decoded(raw: bytes) -> str:
    return raw.decode(errors="replace")
