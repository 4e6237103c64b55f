"""ICMPv6 (RFC 4443): echo and errors. Neighbour discovery, which rides on it, is in `ndp`."""

from __future__ import annotations

import struct
from enum import IntEnum

import msgspec

from sampan.net.wire.checksum import Buffer, checksum, pseudo_sum, verifies
from sampan.net.wire.error import MalformedError
from sampan.net.wire.ipv4 import Protocol

_HEADER = struct.Struct("!BBHI")
HEADER_LENGTH = _HEADER.size
QUOTE_LENGTH = 1280 - 40 - HEADER_LENGTH  # an error stays within the minimum MTU


class Kind(IntEnum):
    """The message types that are known here."""

    UNREACHABLE = 1
    PACKET_TOO_BIG = 2
    TIME_EXCEEDED = 3
    ECHO = 128
    ECHO_REPLY = 129
    ROUTER_SOLICITATION = 133
    ROUTER_ADVERTISEMENT = 134
    NEIGHBOUR_SOLICITATION = 135
    NEIGHBOUR_ADVERTISEMENT = 136


class Unreachable(IntEnum):
    """Why a destination cannot be reached (the codes of type 1)."""

    NO_ROUTE = 0
    PROHIBITED = 1
    ADDRESS = 3
    PORT = 4
    POLICY = 5


class Message(msgspec.Struct, frozen=True, gc=False):
    """A message: `word` is the 32 bits behind the checksum, whose meaning the type gives.

    That is identifier and sequence for echo, the MTU for PACKET_TOO_BIG, flags for discovery.
    """

    kind: int
    code: int
    word: int
    body: bytes

    @classmethod
    def parse(cls, data: Buffer, source: bytes, destination: bytes) -> Message:
        """The message in `data`, sent between two IPv6 addresses.

        Raises:
            MalformedError: too short, or a wrong checksum.
        """
        if len(data) < HEADER_LENGTH:
            raise MalformedError(f"an ICMPv6 message of {len(data)} bytes")
        if not verifies(_pseudo(source, destination, len(data)), data):
            raise MalformedError("a wrong ICMPv6 checksum")
        kind, code, _, word = _HEADER.unpack_from(data)
        return cls(kind, code, word, bytes(data[HEADER_LENGTH:]))

    def emit(self, source: bytes, destination: bytes) -> bytes:
        """The message's bytes, checksum included."""
        pseudo = _pseudo(source, destination, HEADER_LENGTH + len(self.body))
        total = checksum(pseudo, _HEADER.pack(self.kind, self.code, 0, self.word), self.body)
        return _HEADER.pack(self.kind, self.code, total, self.word) + self.body


def _pseudo(source: bytes, destination: bytes, length: int) -> bytes:
    return pseudo_sum(source, destination, Protocol.ICMPV6, length).to_bytes(2, "big")
