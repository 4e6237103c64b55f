"""Ethernet II frames (IEEE 802.3, clause 3; no VLAN tags: a tagged frame is another protocol)."""

from __future__ import annotations

import struct
from enum import IntEnum

import msgspec

from sampan.net.wire.checksum import Buffer
from sampan.net.wire.error import MalformedError

HEADER = struct.Struct("!6s6sH")
HEADER_LENGTH = HEADER.size


class EtherType(IntEnum):
    """The protocols that the stack speaks."""

    IPV4 = 0x0800
    ARP = 0x0806
    IPV6 = 0x86DD


class Frame(msgspec.Struct, frozen=True, gc=False):
    """A frame without preamble and check sequence. `ethertype` may be any 16-bit number."""

    destination: bytes
    source: bytes
    ethertype: int
    payload: bytes

    @classmethod
    def parse(cls, data: Buffer) -> Frame:
        """The frame in `data`.

        Raises:
            MalformedError: shorter than a header.
        """
        if len(data) < HEADER_LENGTH:
            raise MalformedError(f"a frame of {len(data)} bytes")
        destination, source, ethertype = HEADER.unpack_from(data)
        return cls(destination, source, ethertype, bytes(data[HEADER_LENGTH:]))

    def emit(self) -> bytes:
        """The frame's bytes."""
        return HEADER.pack(self.destination, self.source, self.ethertype) + self.payload
