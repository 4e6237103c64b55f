"""Frames on a byte stream, each behind its length.

The framings that differ only in how the length is written:

    QEMU         -netdev stream, gvproxy -listen-qemu              u32, big endian
    VMNET        VPNKit after its handshake, gvproxy's own, stdio  u16, little endian

On message sockets (QEMU -netdev dgram, vfkit's unixgram, BESS's seqpacket) a message is a frame
and there is nothing to decode; `is_hello` knows the one message that is none.

What the stream holds in pieces is copied once; whole frames within one read are not copied but
cut out as bytes. Memory is bounded by one frame.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from sampan.net.link.error import LinkError
from sampan.net.wire.checksum import Buffer

MAX_FRAME = 65_535 + 14 + 4  # an IP packet, the Ethernet header, and a VLAN tag
VFKIT_HELLO = b"VFKT"


@dataclass(frozen=True, slots=True)
class Framing:
    """How lengths are written, and the longest frame that is taken."""

    length: struct.Struct
    limit: int = MAX_FRAME

    def encode(self, frame: Buffer) -> bytes:
        """A frame as it goes onto the stream.

        Raises:
            ValueError: it is longer than the framing can say or the peer takes.
        """
        return self.header(len(frame)) + frame

    def header(self, size: int) -> bytes:
        """What stands before a frame of `size` bytes, for those who write it beside the frame.

        Raises:
            ValueError: it is longer than the framing can say or the peer takes.
        """
        if size > self.limit:
            raise ValueError(f"a frame of {size} bytes; the link takes {self.limit}")
        return self.length.pack(size)


QEMU = Framing(struct.Struct(">I"))
VMNET = Framing(struct.Struct("<H"), limit=0xFFFF)


class Decoder:
    """Frames out of a stream's bytes."""

    def __init__(self, framing: Framing) -> None:
        self._framing = framing
        self._rest = b""

    def received(self, data: Buffer) -> list[bytes]:
        """The frames that `data` completes; empty ones are passed over.

        Raises:
            LinkError: a length is beyond the limit, so the stream is something else.
        """
        data = self._rest + data if self._rest else bytes(data)
        length, limit = self._framing.length, self._framing.limit
        width, total = length.size, len(data)
        frames: list[bytes] = []
        start = 0
        while total - start >= width:
            (size,) = length.unpack_from(data, start)
            if size > limit:
                raise LinkError(
                    f"a frame of {size} bytes on a link that takes {limit}",
                    hint="does the other side use the same framing?",
                )
            end = start + width + size
            if end > total:
                break
            if size:
                frames.append(data[start + width : end])
            start = end
        self._rest = data[start:]
        return frames


def is_hello(message: Buffer) -> bool:
    """Whether a message on a unixgram socket is vfkit's greeting rather than a frame."""
    return bytes(message) == VFKIT_HELLO
