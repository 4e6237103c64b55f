"""The time service: one answer to one SNTP request, out of the host's clock (RFC 5905, 14).

The host's clock is of unknown quality, so we say stratum 10 of "local clock": a client with
better servers prefers those. Only client requests are answered, with a packet no longer than
the request; the control and private modes that amplify are not there at all.
"""

from __future__ import annotations

import struct

from sampan.net.wire.checksum import Buffer
from sampan.net.wire.error import MalformedError

PORT = 123
_PACKET = struct.Struct("!BBbbII4sQQQQ")
_EPOCH_OFFSET_S = 2_208_988_800  # from 1900 to 1970
_CLIENT, _SERVER = 3, 4
_STRATUM = 10
_PRECISION = -20  # about a microsecond, as a power of two of seconds
_DISPERSION = 1 << 12  # 1/16 s, as 16.16 fixed point
_LOCAL_CLOCK = bytes([127, 127, 1, 1])


def answer(request: Buffer, received_s: float, now_s: float) -> bytes:
    """The answer to a client's request.

    Args:
        request: the payload of a datagram to port 123; extensions behind it are ignored.
        received_s: when it came, in seconds since 1970 (UTC).
        now_s: when the answer leaves, likewise.

    Raises:
        MalformedError: it is no client's request of version 1 to 4.
    """
    if len(request) < _PACKET.size:
        raise MalformedError(f"an NTP packet of {len(request)} bytes")
    flags, _, poll, *_, transmitted = _PACKET.unpack_from(request)
    version = flags >> 3 & 7
    if flags & 7 != _CLIENT or not 1 <= version <= 4:
        raise MalformedError("an NTP packet that is no client's request")
    return _PACKET.pack(
        version << 3 | _SERVER, _STRATUM, poll, _PRECISION, 0, _DISPERSION, _LOCAL_CLOCK,
        timestamp(received_s), transmitted, timestamp(received_s), timestamp(now_s),
    )  # fmt: skip


def timestamp(wall_s: float) -> int:
    """A time since 1970 as NTP's 64 bits, which wrap in 2036 as they should."""
    return round((wall_s + _EPOCH_OFFSET_S) * (1 << 32)) & 0xFFFFFFFFFFFFFFFF
