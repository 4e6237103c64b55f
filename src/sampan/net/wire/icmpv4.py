"""ICMP for IPv4 (RFC 792, RFC 1191): echo, and the errors a host is told of."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TypeAlias

import msgspec

from sampan.net.wire.checksum import Buffer, checksum, verifies
from sampan.net.wire.error import MalformedError

_HEADER = struct.Struct("!BBHHH")
HEADER_LENGTH = _HEADER.size
QUOTE_LENGTH = 548  # an error stays within 576 bytes (RFC 1812, 4.3.2.3)

_ECHO_REPLY, _UNREACHABLE, _ECHO, _TIME_EXCEEDED = 0, 3, 8, 11


class Unreachable(IntEnum):
    """Why a destination cannot be reached (the codes of type 3 that are sent here)."""

    NETWORK = 0
    HOST = 1
    PROTOCOL = 2
    PORT = 3
    FRAGMENTATION_NEEDED = 4
    PROHIBITED = 13


class Echo(msgspec.Struct, frozen=True, gc=False):
    """A ping (`reply` false) or its answer."""

    reply: bool
    identifier: int
    sequence: int
    payload: bytes

    def emit(self) -> bytes:
        """The message's bytes."""
        kind = _ECHO_REPLY if self.reply else _ECHO
        return _message(kind, 0, self.identifier, self.sequence, self.payload)


class DestinationUnreachable(msgspec.Struct, frozen=True, gc=False):
    """A packet could not be delivered. `quote` is its IP header and first bytes.

    `mtu` is meant with FRAGMENTATION_NEEDED only. `code` may be one we never send.
    """

    code: int
    quote: bytes
    mtu: int = 0

    def emit(self) -> bytes:
        """The message's bytes, the quote cut to what an error may carry."""
        return _message(_UNREACHABLE, self.code, 0, self.mtu, self.quote[:QUOTE_LENGTH])


class TimeExceeded(msgspec.Struct, frozen=True, gc=False):
    """A packet ran out of hops (code 0), or its fragments did not all arrive (1)."""

    code: int
    quote: bytes

    def emit(self) -> bytes:
        """The message's bytes, the quote cut to what an error may carry."""
        return _message(_TIME_EXCEEDED, self.code, 0, 0, self.quote[:QUOTE_LENGTH])


Message: TypeAlias = Echo | DestinationUnreachable | TimeExceeded


def parse(data: Buffer) -> Message:
    """The message in `data`.

    Raises:
        MalformedError: too short, a wrong checksum, or a type that is not known here.
    """
    if len(data) < HEADER_LENGTH:
        raise MalformedError(f"an ICMP message of {len(data)} bytes")
    if not verifies(data):
        raise MalformedError("a wrong ICMP checksum")
    kind, code, _, first, second = _HEADER.unpack_from(data)
    body = bytes(data[HEADER_LENGTH:])
    if kind in (_ECHO, _ECHO_REPLY) and code == 0:
        return Echo(kind == _ECHO_REPLY, first, second, body)
    if kind == _UNREACHABLE:
        return DestinationUnreachable(code, body, second)
    if kind == _TIME_EXCEEDED:
        return TimeExceeded(code, body)
    raise MalformedError(f"an ICMP message of type {kind}")


def _message(kind: int, code: int, first: int, second: int, body: bytes) -> bytes:
    total = checksum(_HEADER.pack(kind, code, 0, first, second), body)
    return _HEADER.pack(kind, code, total, first, second) + body
