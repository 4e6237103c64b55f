"""UDP datagrams within a channel of VPNKit's forwarder protocol, which carries bytes.

All numbers little endian:

    length u16 (of all of it, itself included)
    address: length u16 (0, 4 or 16) and the bytes; port u16
    zone of an IPv6 address: length u16 and the bytes, mostly none
    payload: length u16 and the bytes

To the machine the address is whom the datagram came from, from it whom it goes to. With a channel
for each peer, as VPNKit's programs in the machine have it, it says nothing: they leave it out.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from sampan.net.link.error import LinkError

MAX_PAYLOAD = 65_507  # of UDP over IPv4
_U16 = struct.Struct("<H")


@dataclass(frozen=True, slots=True)
class Datagram:
    """A payload, and the address (of 0, 4 or 16 bytes) and port of whom it is from or for."""

    payload: bytes
    address: bytes = b""
    port: int = 0
    zone: bytes = b""

    def emit(self) -> bytes:
        """It as bytes.

        Raises:
            ValueError: it is too long to be one.
        """
        body = _prefixed(self.address) + _U16.pack(self.port) + _prefixed(self.zone)
        length = 4 + len(body) + len(self.payload)
        if len(self.payload) > MAX_PAYLOAD or length > 0xFFFF:
            raise ValueError(f"a datagram of {len(self.payload)} bytes; UDP takes {MAX_PAYLOAD}")
        return _U16.pack(length) + body + _prefixed(self.payload)

    @classmethod
    def parse(cls, data: bytes) -> Datagram:
        """The datagram that fills `data`, its own length included.

        Raises:
            LinkError: lengths that do not fit one another.
        """
        try:
            address, start = _counted(data, 2)
            (port,) = _U16.unpack_from(data, start)
            zone, start = _counted(data, start + 2)
            payload, end = _counted(data, start)
        except struct.error:
            raise LinkError("the peer sends a datagram that is cut off") from None
        if end != len(data) or len(address) not in (0, 4, 16):
            raise LinkError("the peer sends a datagram whose lengths do not fit")
        return cls(payload, address, port, zone)


class Decoder:
    """Datagrams out of a channel's bytes. Memory is bounded by one of them."""

    def __init__(self) -> None:
        self._rest = b""

    def received(self, data: bytes) -> list[Datagram]:
        """The datagrams that `data` completes.

        Raises:
            LinkError: it is something else; close the channel.
        """
        data = self._rest + data
        found: list[Datagram] = []
        start = 0
        while len(data) - start >= _U16.size:
            (length,) = _U16.unpack_from(data, start)
            if length < _U16.size:
                raise LinkError(f"the peer sends a datagram of {length} bytes")
            if len(data) - start < length:
                break
            found.append(Datagram.parse(data[start : start + length]))
            start += length
        self._rest = data[start:]
        return found


def _prefixed(data: bytes) -> bytes:
    return _U16.pack(len(data)) + data


def _counted(data: bytes, start: int) -> tuple[bytes, int]:
    """The bytes behind a length, and where they end (which may be beyond the end of `data`)."""
    (size,) = _U16.unpack_from(data, start)
    begin = start + _U16.size
    return data[begin : begin + size], begin + size
