"""The header in front of each frame where a device does checksums and segmentation for us.

`struct virtio_net_hdr` of the virtio specification (1.2, section 5.1.6), as TAP devices with
`IFF_VNET_HDR` and vhost-user-net carry it: 10 bytes, or 12 with the count of merged buffers.
Little endian, as modern devices and this host's TAP have it.
"""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag

import msgspec

from sampan.net.wire.checksum import Buffer
from sampan.net.wire.error import MalformedError

HEADER = struct.Struct("<BBHHHH")
HEADER_LENGTH = HEADER.size
MERGED_HEADER = struct.Struct("<BBHHHHH")
MERGED_HEADER_LENGTH = MERGED_HEADER.size


class Flag(IntFlag):
    """What is known about the checksum."""

    NEEDS_CHECKSUM = 1  # the field holds the pseudo header's sum; the device finishes it
    DATA_VALID = 2  # the device has checked it


class Segmentation(IntEnum):
    """How a frame larger than the MTU is to be cut."""

    NONE = 0
    TCPV4 = 1
    UDP = 3
    TCPV6 = 4
    UDP_L4 = 5


ECN = 0x80  # set beside a TCP kind: the segment carries CWR


class Offload(msgspec.Struct, frozen=True, gc=False):
    """What the device did or has to do. Offsets count from the start of the frame."""

    flags: int = 0
    segmentation: int = Segmentation.NONE
    header_length: int = 0
    segment_size: int = 0
    checksum_start: int = 0
    checksum_offset: int = 0

    @classmethod
    def parse(cls, data: Buffer) -> Offload:
        """The header in front of `data`.

        Raises:
            MalformedError: too short, or an unknown kind of segmentation.
        """
        if len(data) < HEADER_LENGTH:
            raise MalformedError(f"an offload header of {len(data)} bytes")
        flags, kind, *rest = HEADER.unpack_from(data)
        if kind & ~ECN not in (0, 1, 3, 4, 5):
            raise MalformedError(f"segmentation of kind {kind}")
        return cls(flags & 3, kind, *rest)

    def emit(self) -> bytes:
        """The header's 10 bytes."""
        return HEADER.pack(
            self.flags, self.segmentation, self.header_length, self.segment_size,
            self.checksum_start, self.checksum_offset,
        )  # fmt: skip
