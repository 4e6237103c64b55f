"""Packets of virtio-vsock: a header of 44 bytes, then data (virtio 1.2, section 5.10.6).

All numbers are little endian. A connection is known by its two ports; addresses (CIDs) are
always those of the host and of the one guest that a device has.
"""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag
from typing import NamedTuple

from sampan.vhost.core.error import RemoteProtocolError

HEADER = struct.Struct("<QQIIIHHIII")
HEADER_LENGTH = HEADER.size
HOST_CID = 2
STREAM = 1  # the one type of connections here; 2 would be seqpacket
MAX_DATA = 64 << 10  # of one packet that a driver sends; Linux makes none larger


class Op(IntEnum):
    """What a packet is for."""

    REQUEST = 1
    RESPONSE = 2
    RST = 3
    SHUTDOWN = 4
    RW = 5
    CREDIT_UPDATE = 6
    CREDIT_REQUEST = 7


class Shut(IntFlag):
    """What the sender of a SHUTDOWN will do no more."""

    NOTHING = 0
    RECEIVE = 1
    SEND = 2
    BOTH = 3


class Packet(NamedTuple):
    """A header as it came. `op` may be a number that is none of `Op`."""

    source_cid: int
    target_cid: int
    source_port: int
    target_port: int
    length: int
    kind: int
    op: int
    flags: int = 0
    allocated: int = 0
    forwarded: int = 0

    def emit(self) -> bytes:
        """The header's bytes."""
        return HEADER.pack(*self)


def parse(buffers: list[memoryview]) -> tuple[Packet, list[memoryview]]:
    """A packet that lies in `buffers`, and where its data is.

    Raises:
        RemoteProtocolError: there are fewer bytes than a header has, or than it says.
    """
    if not buffers or len(buffers[0]) < HEADER_LENGTH:
        buffers = [memoryview(b"".join(buffers))]
    first = buffers[0]
    if len(first) < HEADER_LENGTH:
        raise RemoteProtocolError(f"a packet of {len(first)} bytes")
    packet = Packet._make(HEADER.unpack_from(first))
    data = buffers[1:] if len(first) == HEADER_LENGTH else [first[HEADER_LENGTH:], *buffers[1:]]
    extra = sum(map(len, data)) - packet.length
    if extra < 0:
        raise RemoteProtocolError(f"a packet that lacks {-extra} of its {packet.length} bytes")
    while extra > 0:
        last = data.pop()
        if len(last) > extra:
            data.append(last[: len(last) - extra])
        extra -= len(last)
    return packet, data
