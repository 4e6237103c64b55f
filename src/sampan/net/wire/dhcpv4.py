"""DHCP for IPv4 (RFC 2131) with the options of RFC 2132 that a server here reads or sends."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from sampan.net.wire.checksum import Buffer
from sampan.net.wire.error import MalformedError

SERVER_PORT = 67
CLIENT_PORT = 68

_FIXED = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s")
_COOKIE = b"\x63\x82\x53\x63"
_MIN_LENGTH = 300  # RFC 1542, 2.1: some clients drop anything shorter
_BROADCAST = 0x8000
_OVERLOAD, _PAD, _END = 52, 0, 255


class MessageType(IntEnum):
    """Option 53."""

    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    DECLINE = 4
    ACK = 5
    NAK = 6
    RELEASE = 7
    INFORM = 8


class Code(IntEnum):
    """Options by number (RFC 2132; 114 is RFC 8910, 119 RFC 3397, 121 RFC 3442)."""

    SUBNET_MASK = 1
    ROUTER = 3
    DNS = 6
    HOST_NAME = 12
    DOMAIN_NAME = 15
    MTU = 26
    BROADCAST = 28
    NTP = 42
    REQUESTED_ADDRESS = 50
    LEASE_TIME = 51
    MESSAGE_TYPE = 53
    SERVER_ID = 54
    PARAMETER_LIST = 55
    MESSAGE = 56
    MAX_SIZE = 57
    RENEWAL_TIME = 58
    REBINDING_TIME = 59
    CLIENT_ID = 61
    RAPID_COMMIT = 80
    SEARCH = 119
    STATIC_ROUTES = 121


@dataclass(frozen=True, slots=True)
class Dhcp:
    """A message. Addresses are 4 bytes, `mac` 6; `options` are raw, by number."""

    request: bool
    transaction: int
    mac: bytes
    client: bytes = bytes(4)
    yours: bytes = bytes(4)
    server: bytes = bytes(4)
    relay: bytes = bytes(4)
    seconds: int = 0
    broadcast: bool = False
    options: Mapping[int, bytes] = field(default_factory=dict)

    @property
    def message_type(self) -> MessageType | None:
        """What the message is; None if it does not say, or says nonsense."""
        value = self.options.get(Code.MESSAGE_TYPE, b"")
        return MessageType(value[0]) if len(value) == 1 and 1 <= value[0] <= 8 else None

    @classmethod
    def parse(cls, data: Buffer) -> Dhcp:
        """The message in `data`. An option given twice is joined (RFC 3396).

        Raises:
            MalformedError: too short, not about Ethernet, no DHCP cookie, or options that run
                past the message.
        """
        if len(data) < _FIXED.size + len(_COOKIE):
            raise MalformedError(f"a DHCP message of {len(data)} bytes")
        (operation, link, mac_length, _, transaction, seconds, flags, client, yours, server,
         relay, mac, name, file) = _FIXED.unpack_from(data)  # fmt: skip
        body = bytes(data[_FIXED.size :])
        if operation not in (1, 2) or (link, mac_length) != (1, 6) or body[:4] != _COOKIE:
            raise MalformedError("a message that is not DHCP over Ethernet")
        options: dict[int, bytes] = {}
        _read(body[4:], options)
        overload = options.get(_OVERLOAD, b"\0")
        if overload[:1] in (b"\1", b"\3"):
            _read(file, options)
        if overload[:1] in (b"\2", b"\3"):
            _read(name, options)
        return cls(
            operation == 1, transaction, mac[:6], client, yours, server, relay, seconds,
            bool(flags & _BROADCAST), options,
        )  # fmt: skip

    def emit(self) -> bytes:
        """The message's bytes, padded to what old clients want."""
        out = bytearray(_FIXED.pack(
            1 if self.request else 2, 1, 6, 0, self.transaction, self.seconds,
            _BROADCAST if self.broadcast else 0, self.client, self.yours, self.server, self.relay,
            self.mac, b"", b"",
        ))  # fmt: skip
        out += _COOKIE
        for code, value in self.options.items():
            for start in range(0, max(len(value), 1), 255):
                part = value[start : start + 255]
                out += bytes([code, len(part)]) + part
        out.append(_END)
        return bytes(out).ljust(_MIN_LENGTH, b"\0")


def _read(data: bytes, options: dict[int, bytes]) -> None:
    position = 0
    while position < len(data) and data[position] != _END:
        if data[position] == _PAD:
            position += 1
            continue
        length = data[position + 1] if position + 1 < len(data) else 256
        if position + 2 + length > len(data):
            raise MalformedError("a DHCP option that runs past its field")
        code = data[position]
        options[code] = options.get(code, b"") + data[position + 2 : position + 2 + length]
        position += 2 + length
