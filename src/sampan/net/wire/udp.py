"""UDP datagrams (RFC 768) over either IP."""

from __future__ import annotations

import struct

import msgspec

from sampan.net.wire.checksum import Buffer, checksum, pseudo_sum, verifies
from sampan.net.wire.error import MalformedError
from sampan.net.wire.ipv4 import Protocol

HEADER = struct.Struct("!HHHH")
HEADER_LENGTH = HEADER.size
CHECKSUM_OFFSET = 6


class Udp(msgspec.Struct, frozen=True, gc=False):
    """A datagram."""

    source_port: int
    destination_port: int
    payload: bytes

    @classmethod
    def parse(cls, data: Buffer, source: bytes, destination: bytes, *, check: bool = True) -> Udp:
        """The datagram in `data`, sent between two IP addresses of equal family.

        A checksum of 0 means none over IPv4 (RFC 768) and is refused over IPv6 (RFC 8200, 8.1).

        Raises:
            MalformedError: lengths that do not fit, or a wrong checksum (unless `check` is off).
        """
        if len(data) < HEADER_LENGTH:
            raise MalformedError(f"a UDP datagram of {len(data)} bytes")
        source_port, destination_port, length, given = HEADER.unpack_from(data)
        if not HEADER_LENGTH <= length <= len(data):
            raise MalformedError("a UDP length that does not fit")
        if check and (given or len(source) == 16):
            pseudo = pseudo_sum(source, destination, Protocol.UDP, length).to_bytes(2, "big")
            if not given or not verifies(pseudo, data[:length]):
                raise MalformedError("a wrong UDP checksum")
        return cls(source_port, destination_port, bytes(data[HEADER_LENGTH:length]))

    def emit(self, source: bytes, destination: bytes) -> bytes:
        """The datagram's bytes, checksum included."""
        length = HEADER_LENGTH + len(self.payload)
        ports = self.source_port, self.destination_port
        pseudo = pseudo_sum(source, destination, Protocol.UDP, length).to_bytes(2, "big")
        total = checksum(pseudo, HEADER.pack(*ports, length, 0), self.payload)
        return HEADER.pack(*ports, length, total or 0xFFFF) + self.payload
