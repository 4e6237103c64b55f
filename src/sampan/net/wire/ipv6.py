"""IPv6 headers (RFC 8200): the fixed header, and a walk over extension headers."""

from __future__ import annotations

import struct

import msgspec

from sampan.net.wire.checksum import Buffer
from sampan.net.wire.error import MalformedError

HEADER = struct.Struct("!IHBB16s16s")
HEADER_LENGTH = HEADER.size
DEFAULT_HOP_LIMIT = 64

_FRAGMENT = struct.Struct("!BBHI")
_FRAGMENT_HEADER = 44
_SKIPPED = {0, 43, 60}  # hop-by-hop options, routing, destination options
_MAX_EXTENSIONS = 8


class Ipv6(msgspec.Struct, frozen=True, gc=False):
    """A packet, or a fragment of one, without the extension headers that were skipped."""

    source: bytes
    destination: bytes
    protocol: int
    payload: bytes
    hop_limit: int = DEFAULT_HOP_LIMIT
    traffic_class: int = 0
    flow_label: int = 0
    identification: int = 0
    more_fragments: bool = False
    offset: int = 0

    @property
    def is_fragment(self) -> bool:
        """Whether this is a part of a packet rather than a whole one."""
        return self.more_fragments or self.offset > 0

    @classmethod
    def parse(cls, data: Buffer) -> Ipv6:
        """The packet in `data`; bytes behind its payload length are ignored.

        Raises:
            MalformedError: wrong version, lengths that do not fit, too many extension headers.
        """
        if len(data) < HEADER_LENGTH:
            raise MalformedError(f"an IPv6 packet of {len(data)} bytes")
        first, length, protocol, hops, source, destination = HEADER.unpack_from(data)
        if first >> 28 != 6 or HEADER_LENGTH + length > len(data):
            raise MalformedError("IPv6 lengths that do not fit")
        payload = memoryview(data)[HEADER_LENGTH : HEADER_LENGTH + length]
        protocol, payload, fragment = _walk(protocol, payload)
        ident, more, offset = fragment
        if offset + len(payload) > 0xFFFF:
            raise MalformedError("an IPv6 fragment that ends beyond 65535 bytes")
        return cls(
            source, destination, protocol, bytes(payload), hops, first >> 20 & 0xFF,
            first & 0xFFFFF, ident, more, offset,
        )  # fmt: skip

    def emit(self) -> bytes:
        """The packet's bytes, with a fragment header where it is a fragment."""
        protocol, extension = self.protocol, b""
        if self.is_fragment:
            protocol = _FRAGMENT_HEADER
            flags = self.offset | self.more_fragments
            extension = _FRAGMENT.pack(self.protocol, 0, flags, self.identification)
        first = 6 << 28 | self.traffic_class << 20 | self.flow_label
        length = len(extension) + len(self.payload)
        header = HEADER.pack(first, length, protocol, self.hop_limit, self.source, self.destination)
        return header + extension + self.payload


def _walk(protocol: int, payload: memoryview) -> tuple[int, memoryview, tuple[int, bool, int]]:
    """Skip extension headers: the transport's number, its bytes, and the fragment's place."""
    fragment = (0, False, 0)
    for _ in range(_MAX_EXTENSIONS):
        if protocol == _FRAGMENT_HEADER and len(payload) >= _FRAGMENT.size:
            protocol, _, flags, ident = _FRAGMENT.unpack_from(payload)
            fragment = (ident if flags & 0xFFF9 else 0, bool(flags & 1), flags & 0xFFF8)
            payload = payload[_FRAGMENT.size :]
            if fragment[2]:
                return protocol, payload, fragment  # what follows is the middle of something
        elif protocol in _SKIPPED and len(payload) >= 8:
            protocol, length = payload[0], payload[1] * 8 + 8
            if length > len(payload):
                raise MalformedError("an IPv6 extension header longer than its packet")
            payload = payload[length:]
        elif protocol in _SKIPPED or protocol == _FRAGMENT_HEADER:
            raise MalformedError("a truncated IPv6 extension header")
        else:
            return protocol, payload, fragment
    raise MalformedError("too many IPv6 extension headers")
