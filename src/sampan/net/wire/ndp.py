"""Neighbour discovery (RFC 4861) and the router's options that configure a host (RFC 8106).

Bodies of ICMPv6 messages: `icmpv6.Message` carries them and their checksum. A receiver must
also check that the hop limit is 255 (RFC 4861, 7.1), which only the IP layer knows.
"""

from __future__ import annotations

import struct

import msgspec

from sampan.net.wire.error import MalformedError
from sampan.net.wire.icmpv6 import Kind, Message

HOP_LIMIT = 255
_SOURCE_LINK, _TARGET_LINK, _PREFIX, _MTU, _RDNSS = 1, 2, 3, 5, 25
_ROUTER_FLAG, _SOLICITED_FLAG, _OVERRIDE_FLAG = 1 << 31, 1 << 30, 1 << 29
_ON_LINK_AND_AUTONOMOUS = 0xC0


class Solicitation(msgspec.Struct, frozen=True, gc=False):
    """Who has `target`? `mac` is the asker's, empty when it has no address yet."""

    target: bytes
    mac: bytes = b""

    def message(self) -> Message:
        """It as an ICMPv6 message."""
        body = self.target + (_option(_SOURCE_LINK, self.mac) if self.mac else b"")
        return Message(Kind.NEIGHBOUR_SOLICITATION, 0, 0, body)


class Advertisement(msgspec.Struct, frozen=True, gc=False):
    """`target` is at `mac`."""

    target: bytes
    mac: bytes = b""
    router: bool = False
    solicited: bool = False
    override: bool = False

    def message(self) -> Message:
        """It as an ICMPv6 message."""
        word = (
            (_ROUTER_FLAG if self.router else 0)
            | (_SOLICITED_FLAG if self.solicited else 0)
            | (_OVERRIDE_FLAG if self.override else 0)
        )
        body = self.target + (_option(_TARGET_LINK, self.mac) if self.mac else b"")
        return Message(Kind.NEIGHBOUR_ADVERTISEMENT, 0, word, body)


class RouterSolicitation(msgspec.Struct, frozen=True, gc=False):
    """Is there a router?"""

    mac: bytes = b""

    def message(self) -> Message:
        """It as an ICMPv6 message."""
        return Message(
            Kind.ROUTER_SOLICITATION, 0, 0, _option(_SOURCE_LINK, self.mac) if self.mac else b""
        )


class RouterAdvertisement(msgspec.Struct, frozen=True, gc=False):
    """There is: its MAC, the /64 prefix hosts form addresses in, MTU, resolvers, search list.

    `lifetime_s` is 0 for a router that is no default router; `prefix` empty for none.
    """

    mac: bytes
    lifetime_s: int
    prefix: bytes = b""
    prefix_lifetime_s: int = 0
    mtu: int = 0
    resolvers: tuple[bytes, ...] = ()
    resolver_lifetime_s: int = 0
    hop_limit: int = 64

    def message(self) -> Message:
        """It as an ICMPv6 message."""
        body = struct.pack("!II", 0, 0) + _option(_SOURCE_LINK, self.mac)
        if self.mtu:
            body += _option(_MTU, struct.pack("!HI", 0, self.mtu))
        if self.prefix:
            lifetime = self.prefix_lifetime_s
            body += _option(_PREFIX, struct.pack(
                "!BBIII16s", 64, _ON_LINK_AND_AUTONOMOUS, lifetime, lifetime, 0, self.prefix
            ))  # fmt: skip
        if self.resolvers:
            body += _option(
                _RDNSS, struct.pack("!HI", 0, self.resolver_lifetime_s) + b"".join(self.resolvers)
            )
        word = self.hop_limit << 24 | self.lifetime_s
        return Message(Kind.ROUTER_ADVERTISEMENT, 0, word, body)


def parse(message: Message) -> Solicitation | Advertisement | RouterSolicitation:
    """The meaning of a discovery message that a host sends.

    Raises:
        MalformedError: it is no such message, or its options do not fit.
    """
    body = message.body
    if message.kind == Kind.ROUTER_SOLICITATION:
        return RouterSolicitation(_options(body).get(_SOURCE_LINK, b""))
    if message.kind not in (Kind.NEIGHBOUR_SOLICITATION, Kind.NEIGHBOUR_ADVERTISEMENT):
        raise MalformedError(f"an ICMPv6 message of type {message.kind}")
    if len(body) < 16:
        raise MalformedError("a neighbour message without a target")
    target, options = body[:16], _options(body[16:])
    if message.kind == Kind.NEIGHBOUR_SOLICITATION:
        return Solicitation(target, options.get(_SOURCE_LINK, b""))
    return Advertisement(
        target,
        options.get(_TARGET_LINK, b""),
        bool(message.word & _ROUTER_FLAG),
        bool(message.word & _SOLICITED_FLAG),
        bool(message.word & _OVERRIDE_FLAG),
    )


def _option(kind: int, value: bytes) -> bytes:
    length = -(-(2 + len(value)) // 8)
    return bytes([kind, length]) + value.ljust(length * 8 - 2, b"\0")


def _options(data: bytes) -> dict[int, bytes]:
    """Link-layer address options by kind; others are stepped over."""
    found: dict[int, bytes] = {}
    while data:
        length = data[1] * 8 if len(data) >= 8 else 0
        if not 0 < length <= len(data):
            raise MalformedError("a discovery option that runs past its message")
        if data[0] in (_SOURCE_LINK, _TARGET_LINK):
            found[data[0]] = data[2:8]
        data = data[length:]
    return found
