"""UDP datagrams within a channel of VPNKit's forwarder protocol, the machine's side; pure.

All numbers little endian:

    length u16 (of all of it, itself included)
    address: length u16 and the bytes; port u16; zone: length u16 and the bytes
    payload: length u16 and the bytes

With a channel for each peer the address says nothing; it is left out here, and not looked at.
"""

from __future__ import annotations

import struct

from sampan.guest.agent.fault import AgentError

MAX_PAYLOAD = 65_507  # of UDP over IPv4
_HEAD = struct.Struct("<5H")  # without an address and a zone
_U16 = struct.Struct("<H")


def framed(payload: bytes) -> bytes:
    """A datagram as bytes of a channel."""
    size = len(payload)
    return _HEAD.pack(_HEAD.size + size, 0, 0, 0, size) + payload


def taken(stream: bytearray) -> list[bytes]:
    """The payloads of the datagrams that `stream` begins with; they are taken out of it.

    Raises:
        AgentError: it is something else.
    """
    found: list[bytes] = []
    start = 0
    while len(stream) - start >= _U16.size:
        (length,) = _U16.unpack_from(stream, start)
        if length < _HEAD.size:
            raise AgentError(f"the host sends a datagram of {length} bytes")
        if len(stream) - start < length:
            break
        found.append(_payload(bytes(stream[start : start + length])))
        start += length
    del stream[:start]
    return found


def _payload(frame: bytes) -> bytes:
    try:
        (size,) = _U16.unpack_from(frame, 2)
        start = 6 + size  # behind the address and the port
        (size,) = _U16.unpack_from(frame, start)
        start += 2 + size
        (size,) = _U16.unpack_from(frame, start)
    except struct.error:
        raise AgentError("the host sends a datagram that is cut off") from None
    if start + 2 + size != len(frame):
        raise AgentError("the host sends a datagram whose lengths do not fit")
    return frame[start + 2 :]
