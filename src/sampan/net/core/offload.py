"""A frame from one link made fit for another that can do less: checksums and segmentation.

Between links with offload a frame passes as it is, its header and all. To a link without, the
checksum that the device was to make is made here, and a superframe is cut into frames of the
segment size that its header names (as a network card would do it).
"""

from __future__ import annotations

from collections.abc import Iterator

from sampan.net.core.port import Port
from sampan.net.wire import ethernet, ipv4, tcp
from sampan.net.wire.checksum import checksum, pseudo_sum
from sampan.net.wire.error import MalformedError
from sampan.net.wire.ethernet import EtherType
from sampan.net.wire.ipv4 import Protocol
from sampan.net.wire.tcp import Flag
from sampan.net.wire.vnet import ECN, Offload, Segmentation
from sampan.net.wire.vnet import Flag as OffloadFlag

_IP = ethernet.HEADER_LENGTH
_LAST_ONLY = Flag.FIN | Flag.PSH


def adapt(frame: memoryview, source: Port, target: Port) -> Iterator[bytes]:
    """The frames that `target` gets for a frame from `source`; none if it fits in no way."""
    if not source.head:
        yield bytes(target.head) + frame
        return
    data = frame[source.head :]
    if target.head:
        yield bytes(frame[:10]).ljust(target.head, b"\0") + data
        return
    try:
        offload = Offload.parse(frame)
    except MalformedError:
        return
    kind = offload.segmentation & ~ECN
    if kind == Segmentation.NONE:
        yield _finished(bytes(data), offload)
    elif kind in (Segmentation.TCPV4, Segmentation.TCPV6) and offload.segment_size:
        yield from _segments(data, offload)


def _finished(data: bytes, offload: Offload) -> bytes:
    """The frame with its checksum made, if it was still to be."""
    start = offload.checksum_start
    at = start + offload.checksum_offset
    if not offload.flags & OffloadFlag.NEEDS_CHECKSUM or at + 2 > len(data):
        return data
    total = checksum(data[start:]) or 0xFFFF  # 0 would mean "none" in UDP
    return data[:at] + total.to_bytes(2, "big") + data[at + 2 :]


def _segments(data: memoryview, offload: Offload) -> Iterator[bytes]:
    """The segments of a superframe of TCP, each with headers of its own."""
    kind = int.from_bytes(data[12:14], "big")
    start = offload.checksum_start
    if kind not in (EtherType.IPV4, EtherType.IPV6) or len(data) < start + tcp.HEADER_LENGTH:
        return
    minimum = ipv4.HEADER_LENGTH if kind == EtherType.IPV4 else 40
    headers = start + (data[start + 12] >> 4) * 4
    if start < _IP + minimum or headers < start + tcp.HEADER_LENGTH or headers >= len(data):
        return
    size = max(offload.segment_size, 1 + len(data) // 1024)
    for offset in range(headers, len(data), size):
        last = offset + size >= len(data)
        header = bytearray(data[:headers])
        payload = data[offset : offset + size]
        _fix_ip(header, kind, headers - _IP + len(payload), (offset - headers) // size)
        _fix_tcp(header, start, offset - headers, last)
        addresses = (
            slice(_IP + 12, _IP + 20) if kind == EtherType.IPV4 else slice(_IP + 8, _IP + 40)
        )
        length = headers - start + len(payload)
        pseudo = pseudo_sum(bytes(header[addresses]), b"", Protocol.TCP, length)
        total = checksum(pseudo.to_bytes(2, "big"), header[start:], payload)
        header[start + 16 : start + 18] = total.to_bytes(2, "big")
        yield bytes(header) + payload


def _fix_ip(header: bytearray, kind: int, length: int, index: int) -> None:
    if kind == EtherType.IPV6:
        header[_IP + 4 : _IP + 6] = (length - 40).to_bytes(2, "big")
        return
    end = _IP + (header[_IP] & 15) * 4
    number = int.from_bytes(header[_IP + 4 : _IP + 6], "big") + index
    header[_IP + 2 : _IP + 6] = length.to_bytes(2, "big") + (number & 0xFFFF).to_bytes(2, "big")
    header[_IP + 10 : _IP + 12] = b"\0\0"
    header[_IP + 10 : _IP + 12] = checksum(header[_IP:end]).to_bytes(2, "big")


def _fix_tcp(header: bytearray, start: int, offset: int, last: bool) -> None:
    number = int.from_bytes(header[start + 4 : start + 8], "big") + offset
    header[start + 4 : start + 8] = (number & 0xFFFFFFFF).to_bytes(4, "big")
    if not last:
        header[start + 13] &= ~_LAST_ONLY & 0xFF
    if offset:
        header[start + 13] &= ~Flag.CWR & 0xFF
    header[start + 16 : start + 18] = b"\0\0"
