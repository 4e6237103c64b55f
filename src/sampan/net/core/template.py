"""The headers of one flow's segments, ready but for the few fields that change.

Built once for a flow: offload header, Ethernet, IP and the constant parts of TCP, and the sums
that its checksums begin with. `fill` writes all headers in front of a payload with one
`struct` call; `header` makes them for everything rarer (SYN, SACK, what is sent again).

With offload the device finishes the checksum and cuts superframes by the MSS; without, the
checksum is computed here and the payload must fit one segment.

Two templates of equal shape, for IPv4 and IPv6. IPv4's identification is 0, as RFC 6864 allows
where fragmenting is forbidden.
"""

from __future__ import annotations

import struct
from functools import cache, lru_cache

import msgspec

from sampan.net.core.buffer import HEADROOM, SendBuffer
from sampan.net.core.endpoint import Endpoint, key_of
from sampan.net.core.port import Frame
from sampan.net.wire import ethernet, ipv4, tcp, vnet
from sampan.net.wire.checksum import Buffer, checksum, residue

_ACK_AND_PUSH = 0x18
_NEEDS_CHECKSUM = int(vnet.Flag.NEEDS_CHECKSUM)
_PROTOCOL = int(ipv4.Protocol.TCP)
STAMPED = 12  # bytes of options where timestamps are used
_STAMP = struct.Struct("!III")
_STAMP_KIND = 0x0101080A  # two NOPs, and the option's kind and length
IPV4_HEADERS = 54
IPV6_HEADERS = 74
_START4 = ethernet.EtherType.IPV4.to_bytes(2, "big") + bytes([0x45, 0])
_START6 = ethernet.EtherType.IPV6.to_bytes(2, "big") + bytes([0x60, 0, 0, 0])
_MIDDLE4 = struct.pack(
    "!HHBB", 0, ipv4.DONT_FRAGMENT, ipv4.DEFAULT_HOP_LIMIT, ipv4.Protocol.TCP
)  # fmt: skip
_MIDDLE6 = bytes([ipv4.Protocol.TCP, ipv4.DEFAULT_HOP_LIMIT])
_SUM4 = 0x4500 + residue(_MIDDLE4)


class Line(msgspec.Struct, frozen=True):
    """What a flow's template is made for: where its frames go, and what the device does."""

    source_mac: bytes
    destination_mac: bytes
    source: Endpoint
    destination: Endpoint
    head: int


@cache
def _layout(head: int, six: bool) -> struct.Struct:
    """All headers behind an offload header of `head` bytes, up to where options begin."""
    return struct.Struct(f"!{head}s18sH2s36sIIHHHH" if six else f"!{head}s16sH6sH12sIIHHHH")


@lru_cache(maxsize=256)  # there are as many as there are segment sizes
def _offload(head: int, six: bool, mss: int, options: int) -> tuple[bytes, bytes]:
    """The offload headers of a segment that fits the MTU, and of one that is to be cut."""
    if not head:
        return b"", b""
    start = (IPV6_HEADERS if six else IPV4_HEADERS) - tcp.HEADER_LENGTH
    whole = start + tcp.HEADER_LENGTH + options
    kind = vnet.Segmentation.TCPV6 if six else vnet.Segmentation.TCPV4
    tail = start, tcp.CHECKSUM_OFFSET
    single = vnet.HEADER.pack(_NEEDS_CHECKSUM, vnet.Segmentation.NONE, 0, 0, *tail)
    chain = vnet.HEADER.pack(_NEEDS_CHECKSUM, kind, whole, mss, *tail)
    return single.ljust(head, b"\0"), chain.ljust(head, b"\0")


class Template:
    """Headers from us to a machine. `size` counts them all, without options."""

    __slots__ = (
        "_length_base", "_middle", "_packed", "_port_sum", "_ports", "_prefix", "_pseudo", "_six",
        "_sum", "_vnet", "_vnet_tso", "head", "mss", "options", "size",
    )  # fmt: skip

    def __init__(self, line: Line) -> None:
        head, source, destination = line.head, line.source, line.destination
        six = len(source.address) == 16
        self.head, self._six = head, six
        self._packed = _layout(head, six)
        self._ports = key = key_of(source, destination)
        addresses = residue(key[:-4])
        if six:
            self.size = head + IPV6_HEADERS
            self._prefix = line.destination_mac + line.source_mac + _START6
            self._middle = _MIDDLE6
            self._sum = 0
            self._length_base = tcp.HEADER_LENGTH
        else:
            self.size = head + IPV4_HEADERS
            self._prefix = line.destination_mac + line.source_mac + _START4
            self._middle = _MIDDLE4
            self._sum = _SUM4 + addresses
            self._length_base = ipv4.HEADER_LENGTH + tcp.HEADER_LENGTH
        self._port_sum = source.port + destination.port
        self._pseudo = addresses + _PROTOCOL
        self.sized(tcp.DEFAULT_MSS, stamped=False)

    def sized(self, mss: int, *, stamped: bool) -> None:
        """The handshake settled how much a segment carries and whether it bears timestamps."""
        self.mss = mss
        self.options = STAMPED if stamped else 0
        self._vnet, self._vnet_tso = _offload(self.head, self._six, mss, self.options)

    def fill(
        self, buffer: SendBuffer, length: int, sequence: int, acknowledgment: int, window: int,
        stamp: tuple[int, int],
    ) -> int:  # fmt: skip
        """Write the headers of a data segment in front of `buffer`'s payload: where they begin."""
        start = HEADROOM - self.size - self.options
        control = 0x5018  # ACK and PSH
        if self.options:
            control = 0x8018
            _STAMP.pack_into(buffer.data, HEADROOM - STAMPED, _STAMP_KIND, *stamp)
        self._pack(
            buffer.data, start, length + self.options, sequence, acknowledgment, control, window,
            length > self.mss,
        )  # fmt: skip
        if not self.head:
            end = start + self.size
            total = checksum(buffer.view[end - tcp.HEADER_LENGTH : HEADROOM + length])
            buffer.data[end - 4 : end - 2] = total.to_bytes(2, "big")
        return start

    def header(
        self, sequence: int, acknowledgment: int, flags: int, window: int, options: bytes = b"",
        payload: Buffer = b"",
    ) -> bytearray:  # fmt: skip
        """The headers of any segment, options included, to be sent in front of `payload`."""
        out = bytearray(self.size) + options
        control = (tcp.HEADER_LENGTH + len(options)) << 10 | flags
        length = len(payload)
        self._pack(
            out, 0, length + len(options), sequence, acknowledgment, control, window,
            length > self.mss,
        )  # fmt: skip
        if not self.head:
            at = self.size - tcp.HEADER_LENGTH
            total = checksum(out[at:], payload)
            out[self.size - 4 : self.size - 2] = total.to_bytes(2, "big")
        return out

    def cut(
        self, payload: memoryview, sequence: int, acknowledgment: int, window: int,
        stamp: tuple[int, int],
    ) -> list[Frame]:  # fmt: skip
        """The frames of a payload larger than the MSS, for a port without offload.

        The checksum is put together from sums: that of what is alike in all segments, of the
        number, and of the part of the payload; the header is packed once, complete.
        """
        options = self.stamps(stamp)
        overhead = tcp.HEADER_LENGTH + len(options)
        control = overhead << 10 | _ACK_AND_PUSH
        alike = (
            self._pseudo + overhead + self._port_sum + (acknowledgment >> 16)
            + (acknowledgment & 0xFFFF) + control + window + int.from_bytes(options, "big")
        )  # fmt: skip
        frames: list[Frame] = []
        for start in range(0, len(payload), self.mss):
            part = payload[start : start + self.mss]
            size = len(part)
            number = (sequence + start) & 0xFFFFFFFF
            total = 0xFFFF - (alike + size + number + residue(part)) % 0xFFFF
            length = self._length_base + len(options) + size
            if self._six:
                header = self._packed.pack(
                    b"", self._prefix, length, self._middle, self._ports,
                    number, acknowledgment, control, window, total, 0,
                )  # fmt: skip
            else:
                header = self._packed.pack(
                    b"", self._prefix, length, self._middle, 0xFFFF - (self._sum + length) % 0xFFFF,
                    self._ports, number, acknowledgment, control, window, total, 0,
                )  # fmt: skip
            frames.append((header + options, part))
        return frames

    def stamps(self, stamp: tuple[int, int]) -> bytes:
        """The timestamp option as every segment of this flow bears it; empty if none does."""
        return _STAMP.pack(_STAMP_KIND, *stamp) if self.options else b""

    def _pack(
        self, out: bytearray, start: int, extra: int, sequence: int, acknowledgment: int,
        control: int, window: int, large: bool,
    ) -> None:  # fmt: skip
        """All headers, the checksum field holding the pseudo header's sum. `extra`: behind them."""
        total = self._length_base + extra
        partial = (self._pseudo + tcp.HEADER_LENGTH + extra) % 0xFFFF
        offload = self._vnet_tso if large else self._vnet
        if self._six:
            self._packed.pack_into(
                out, start, offload, self._prefix, total, self._middle, self._ports,
                sequence, acknowledgment, control, window, partial, 0,
            )  # fmt: skip
            return
        self._packed.pack_into(
            out, start, offload, self._prefix, total, self._middle,
            0xFFFF - (self._sum + total) % 0xFFFF, self._ports,
            sequence, acknowledgment, control, window, partial, 0,
        )  # fmt: skip
