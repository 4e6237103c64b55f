"""One end of a flow: an IP address and a port number."""

from __future__ import annotations

import struct
from typing import NamedTuple

from sampan.net.wire import address

_PORTS = struct.Struct("!HH")


class Endpoint(NamedTuple):
    """An address of 4 or 16 bytes, and a port."""

    address: bytes
    port: int

    def __str__(self) -> str:
        text = address.format_ip(self.address)
        return f"{text}:{self.port}" if len(self.address) == 4 else f"[{text}]:{self.port}"


def key_of(source: Endpoint, destination: Endpoint) -> bytes:
    """What identifies a flow: addresses and ports as they follow one another in its packets."""
    return source[0] + destination[0] + _PORTS.pack(source[1], destination[1])
