"""Addresses as raw bytes, and as text for people.

Raw bytes are dictionary keys and go on the wire as they are; `ipaddress` objects would cost
more than the rest of the fast path.
"""

from __future__ import annotations

import ipaddress
import re

BROADCAST_MAC = b"\xff" * 6
ANY_IPV4 = bytes(4)
BROADCAST_IPV4 = b"\xff" * 4
ANY_IPV6 = bytes(16)
ALL_NODES_IPV6 = bytes.fromhex("ff020000000000000000000000000001")
ALL_ROUTERS_IPV6 = bytes.fromhex("ff020000000000000000000000000002")

_MAC = re.compile(r"[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}", re.IGNORECASE)


def parse_mac(text: str) -> bytes:
    """The six bytes of `02:00:5e:10:00:01`.

    Raises:
        ValueError: it is no MAC address.
    """
    if _MAC.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a MAC address")
    return bytes.fromhex(text.replace(":", "").replace("-", ""))


def format_mac(mac: bytes) -> str:
    """`02:00:5e:10:00:01`."""
    return mac.hex(":")


def parse_ip(text: str) -> bytes:
    """The 4 or 16 bytes of an address as people write it.

    Raises:
        ValueError: it is no IP address.
    """
    return ipaddress.ip_address(text).packed


def format_ip(raw: bytes) -> str:
    """An address of 4 or 16 bytes as people write it."""
    return str(ipaddress.ip_address(raw))


def is_multicast_mac(mac: bytes) -> bool:
    """Whether a frame to `mac` concerns more than one station (broadcast included)."""
    return bool(mac[0] & 1)


def is_multicast(raw: bytes) -> bool:
    """Whether an address of 4 or 16 bytes is a multicast one."""
    return raw[0] >> 4 == 0xE if len(raw) == 4 else raw[0] == 0xFF


def multicast_mac(group: bytes) -> bytes:
    """The MAC address frames to an IP multicast group carry (RFC 1112, 6.4; RFC 2464, 7)."""
    if len(group) == 4:
        return b"\x01\x00\x5e" + bytes([group[1] & 0x7F]) + group[2:]
    return b"\x33\x33" + group[12:]


def solicited_node(raw: bytes) -> bytes:
    """The multicast group a neighbour solicitation for `raw` goes to (RFC 4291, 2.7.1)."""
    return bytes.fromhex("ff0200000000000000000001ff") + raw[13:]


def link_local(mac: bytes) -> bytes:
    """The IPv6 link-local address a station forms from its MAC (RFC 4291, appendix A)."""
    return bytes.fromhex("fe80000000000000") + interface_id(mac)


def interface_id(mac: bytes) -> bytes:
    """The modified EUI-64 of a MAC: the lower half of an address formed from it."""
    return bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:]
