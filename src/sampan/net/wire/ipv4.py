"""IPv4 headers (RFC 791), options carried but not interpreted."""

from __future__ import annotations

import struct
from enum import IntEnum

import msgspec

from sampan.net.wire.checksum import Buffer, checksum, residue
from sampan.net.wire.error import MalformedError

HEADER = struct.Struct("!BBHHHBBH4s4s")
HEADER_LENGTH = HEADER.size
DEFAULT_HOP_LIMIT = 64
DONT_FRAGMENT = 0x4000
MORE_FRAGMENTS = 0x2000
OFFSET_MASK = 0x1FFF
MAX_PACKET = 65535


class Protocol(IntEnum):
    """The transports that the stack speaks, by their numbers in both IP headers."""

    ICMP = 1
    TCP = 6
    UDP = 17
    ICMPV6 = 58


class Ipv4(msgspec.Struct, frozen=True, gc=False):
    """A packet, or a fragment of one. `offset` counts bytes and is a multiple of 8."""

    source: bytes
    destination: bytes
    protocol: int
    payload: bytes
    hop_limit: int = DEFAULT_HOP_LIMIT
    identification: int = 0
    dont_fragment: bool = False
    more_fragments: bool = False
    offset: int = 0
    traffic_class: int = 0
    options: bytes = b""

    @property
    def is_fragment(self) -> bool:
        """Whether this is a part of a packet rather than a whole one."""
        return self.more_fragments or self.offset > 0

    @classmethod
    def parse(cls, data: Buffer, *, check: bool = True) -> Ipv4:
        """The packet in `data`; bytes behind its total length (Ethernet padding) are ignored.

        Raises:
            MalformedError: wrong version, lengths that do not fit, or a wrong checksum
                (unless `check` is off).
        """
        if len(data) < HEADER_LENGTH:
            raise MalformedError(f"an IPv4 packet of {len(data)} bytes")
        version, traffic, total, ident, flags, hops, protocol, _, source, destination = (
            HEADER.unpack_from(data)
        )
        header = (version & 15) * 4
        if version >> 4 != 4 or not HEADER_LENGTH <= header <= total <= len(data):
            raise MalformedError("IPv4 lengths that do not fit")
        if check and residue(data[:header]):  # 0 if it is right; it is never all zeros
            raise MalformedError("a wrong IPv4 header checksum")
        offset = (flags & OFFSET_MASK) * 8
        if offset + total - header > MAX_PACKET:
            raise MalformedError("an IPv4 fragment that ends beyond 65535 bytes")
        return cls(
            source, destination, protocol, bytes(data[header:total]), hops, ident,
            bool(flags & DONT_FRAGMENT), bool(flags & MORE_FRAGMENTS), offset, traffic,
            bytes(data[HEADER_LENGTH:header]),
        )  # fmt: skip

    def emit(self) -> bytes:
        """The packet's bytes, header checksum included."""
        length = HEADER_LENGTH + len(self.options)
        flags = (
            (DONT_FRAGMENT if self.dont_fragment else 0)
            | (MORE_FRAGMENTS if self.more_fragments else 0)
            | self.offset // 8
        )
        header = bytearray(HEADER.pack(
            0x40 | length // 4, self.traffic_class, length + len(self.payload), self.identification,
            flags, self.hop_limit, self.protocol, 0, self.source, self.destination,
        ))  # fmt: skip
        header += self.options
        header[10:12] = checksum(header).to_bytes(2, "big")
        return bytes(header) + self.payload
