"""Packets larger than a frame: put together again, and cut (RFC 791, 3.2; RFC 8200, 4.5).

What a machine sends in pieces is held until it is whole, within bounds: so many packets, so
many bytes, so many seconds; the oldest goes first. Pieces that overlap are an attack or a
fault, and cost the whole packet (RFC 5722, applied to IPv4 too); an exact repetition is a
duplicate and is ignored.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TypeAlias, TypeVar

from msgspec.structs import replace

from sampan.net.core.limit import Limits
from sampan.net.wire import ipv4, ipv6
from sampan.net.wire.ipv4 import Ipv4
from sampan.net.wire.ipv6 import Ipv6

_Packet = TypeVar("_Packet", Ipv4, Ipv6)
_Key: TypeAlias = tuple[bytes, bytes, int, int]
_FRAGMENT_HEADER6 = 8
_MAX_PIECES = 256  # of one packet; each is compared with the others


class _Partial:
    """A packet that is not whole yet. `total` is -1 until its last piece came."""

    __slots__ = ("pieces", "since", "size", "total")

    def __init__(self, since: float) -> None:
        self.since = since
        self.pieces: list[tuple[int, bytes]] = []
        self.size = 0
        self.total = -1

    def add(self, offset: int, data: bytes, more: bool) -> bool:
        """Take in a piece; False if it contradicts the others."""
        end = offset + len(data)
        if (offset, data) in self.pieces:
            return True
        if not data or (more and len(data) % 8) or len(self.pieces) >= _MAX_PIECES:
            return False
        if any(start < end and offset < start + len(piece) for start, piece in self.pieces):
            return False
        if not more:
            if self.total >= 0 or any(start > offset for start, _ in self.pieces):
                return False
            self.total = end
        elif self.total >= 0 and end > self.total:
            return False
        self.pieces.append((offset, data))
        self.size += len(data)
        return True


class Reassembler:
    """The packets of all machines that are not whole yet."""

    __slots__ = ("_limits", "_partial", "size")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._partial: dict[_Key, _Partial] = {}  # oldest first
        self.size = 0

    def __len__(self) -> int:
        return len(self._partial)

    def add(self, packet: _Packet, now: float) -> _Packet | None:
        """A fragment came: the packet, if it is whole now."""
        key = packet.source, packet.destination, packet.protocol, packet.identification
        partial = self._partial.get(key)
        if partial is None:
            if len(self._partial) >= self._limits.fragmented_packets:
                self._drop(next(iter(self._partial)))
            partial = self._partial[key] = _Partial(now)
        before = partial.size
        if not partial.add(packet.offset, packet.payload, packet.more_fragments):
            self._drop(key)
            return None
        self.size += partial.size - before
        if partial.size == partial.total:
            self._drop(key)
            payload = b"".join(data for _, data in sorted(partial.pieces))
            return replace(packet, payload=payload, offset=0, more_fragments=False)
        while self.size > self._limits.fragments_total:
            self._drop(next(iter(self._partial)))
        return None

    def _drop(self, key: _Key) -> None:
        self.size -= self._partial.pop(key).size

    def next_timer(self) -> float:
        """When the oldest packet is given up."""
        for partial in self._partial.values():
            return partial.since + self._limits.fragment_s
        return math.inf

    def timer_fired(self, now: float) -> None:
        """Give up the packets whose pieces did not come in time."""
        while self.next_timer() <= now:
            self._drop(next(iter(self._partial)))


def cut4(packet: Ipv4, mtu: int) -> Iterator[Ipv4]:
    """The packet in pieces of at most `mtu` bytes; itself if it fits."""
    size = mtu - ipv4.HEADER_LENGTH
    if len(packet.payload) <= size:
        yield packet
        return
    size -= size % 8
    for offset in range(0, len(packet.payload), size):
        data = packet.payload[offset : offset + size]
        more = offset + size < len(packet.payload)
        yield replace(packet, payload=data, offset=offset, more_fragments=more)


def cut6(packet: Ipv6, mtu: int) -> Iterator[Ipv6]:
    """As `cut4`."""
    size = mtu - ipv6.HEADER_LENGTH
    if len(packet.payload) <= size:
        yield packet
        return
    size -= _FRAGMENT_HEADER6
    size -= size % 8
    for offset in range(0, len(packet.payload), size):
        data = packet.payload[offset : offset + size]
        more = offset + size < len(packet.payload)
        yield replace(packet, payload=data, offset=offset, more_fragments=more)
