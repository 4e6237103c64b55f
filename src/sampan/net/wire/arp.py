"""ARP for IPv4 over Ethernet (RFC 826)."""

from __future__ import annotations

import struct
from enum import IntEnum

import msgspec

from sampan.net.wire.checksum import Buffer
from sampan.net.wire.error import MalformedError

_PACKET = struct.Struct("!HHBBH6s4s6s4s")
_KIND = (1, 0x0800, 6, 4)  # Ethernet, IPv4, and the lengths of their addresses


class Operation(IntEnum):
    """What an ARP packet does."""

    REQUEST = 1
    REPLY = 2


class Arp(msgspec.Struct, frozen=True, gc=False):
    """Who asks or answers (`sender_*`) about whom (`target_*`)."""

    operation: Operation
    sender_mac: bytes
    sender_ip: bytes
    target_mac: bytes
    target_ip: bytes

    @classmethod
    def parse(cls, data: Buffer) -> Arp:
        """The packet in `data`; Ethernet padding behind it is ignored.

        Raises:
            MalformedError: too short, other address families, or an unknown operation.
        """
        if len(data) < _PACKET.size:
            raise MalformedError(f"an ARP packet of {len(data)} bytes")
        *kind, operation, sender_mac, sender_ip, target_mac, target_ip = _PACKET.unpack_from(data)
        if tuple(kind) != _KIND or operation not in (1, 2):
            raise MalformedError("an ARP packet that is not about IPv4 on Ethernet")
        return cls(Operation(operation), sender_mac, sender_ip, target_mac, target_ip)

    def emit(self) -> bytes:
        """The packet's 28 bytes."""
        return _PACKET.pack(
            *_KIND, self.operation, self.sender_mac, self.sender_ip, self.target_mac, self.target_ip
        )
