"""Frames for captures."""

import pytest

from sampan.net.wire import vnet
from sampan.net.wire.checksum import pseudo_sum
from sampan.net.wire.ethernet import EtherType, Frame
from sampan.net.wire.ipv4 import Ipv4, Protocol
from sampan.net.wire.tcp import Flag, Segment

GUEST = bytes([192, 168, 65, 3])
REMOTE = bytes([93, 184, 216, 34])


def tcp(payload: bytes = b"hello", port: int = 80) -> bytes:
    """A whole frame of TCP, checksums made."""
    segment = Segment(40000, port, 1, 2, Flag.ACK | Flag.PSH, 1000, payload=payload)
    packet = Ipv4(GUEST, REMOTE, Protocol.TCP, segment.emit(GUEST, REMOTE)).emit()
    return Frame(b"\2" + bytes(5), b"\4" + bytes(5), EtherType.IPV4, packet).emit()


def offloaded(payload: bytes = b"hello", segment_size: int = 0) -> bytes:
    """The same behind an offload header, its checksum left to the device."""
    frame = bytearray(tcp(payload))
    partial = pseudo_sum(GUEST, REMOTE, Protocol.TCP, len(frame) - 34)
    frame[50:52] = partial.to_bytes(2, "big")
    kind = vnet.Segmentation.TCPV4 if segment_size else vnet.Segmentation.NONE
    head = vnet.Offload(vnet.Flag.NEEDS_CHECKSUM, kind, 54, segment_size, 34, 16).emit()
    return head + bytes(frame)


@pytest.fixture
def make_frame():
    return tcp


@pytest.fixture
def make_offloaded():
    return offloaded
