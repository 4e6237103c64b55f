"""Frames as a capture has them: without the offload header that a link puts in front.

A checksum that the device was to finish is finished, where the whole frame is kept; a frame
that is cut keeps the unfinished one, which Wireshark does not look at then. A superframe stays
one frame, with a comment that says how the device will cut it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sampan.net.wire.checksum import Buffer, checksum
from sampan.net.wire.vnet import ECN, HEADER, HEADER_LENGTH, Flag, Segmentation

_SEGMENTED = (Segmentation.TCPV4, Segmentation.TCPV6, Segmentation.UDP, Segmentation.UDP_L4)


class Plain(NamedTuple):
    """A frame as captured: perhaps its beginning only, of `length` bytes that it had."""

    data: bytes
    length: int
    comment: str = ""


def plain(buffers: Sequence[Buffer], head: int, snap_length: int = 0) -> Plain:
    """The frame that `buffers` make up, of which the first `head` bytes are the offload header.

    At most `snap_length` bytes of it are kept; 0: all.
    """
    length = sum(map(len, buffers)) - head
    if length <= 0:
        return Plain(b"", 0)
    wanted = min(length, snap_length) if snap_length else length
    data = _beginning(buffers, head + wanted)
    if head < HEADER_LENGTH:
        return Plain(data[head:], length)
    flags, kind, _, segment_size, start, offset = HEADER.unpack_from(data)
    frame = data[head:]
    if flags & Flag.NEEDS_CHECKSUM and wanted == length:
        frame = _finished(frame, start, start + offset)
    comment = ""
    if kind & ~ECN in _SEGMENTED and segment_size:
        comment = f"to be cut by the device into segments of {segment_size} bytes"
    return Plain(frame, length, comment)


def _beginning(buffers: Sequence[Buffer], size: int) -> bytes:
    if len(buffers) == 1:
        return bytes(buffers[0][:size])
    parts = []
    for buffer in buffers:
        parts.append(buffer[:size])
        size -= len(parts[-1])
        if not size:
            break
    return b"".join(parts)


def _finished(frame: bytes, start: int, at: int) -> bytes:
    if at + 2 > len(frame):
        return frame
    total = checksum(memoryview(frame)[start:]) or 0xFFFF  # 0 would mean "none" in UDP
    return b"".join((frame[:at], total.to_bytes(2, "big"), frame[at + 2 :]))
