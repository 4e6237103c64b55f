"""The machine's memory as a table of regions: from an address to a view, checked.

Rings are where the front-end says, in its own (user) addresses; buffers where the driver says,
in the guest's physical ones. Neither is believed: a span that does not lie in one region whole
is a fault of the peer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from sampan.vhost.core.error import RemoteProtocolError

_END = 1 << 64
MAX_SIZE = 1 << 46  # more than a process here can map


@dataclass(frozen=True, slots=True)
class Region:
    """A stretch of memory: its two addresses, its size, and where in its descriptor it begins."""

    guest: int
    size: int
    user: int
    offset: int


@dataclass(frozen=True, slots=True)
class Span:
    """A region as the hot path wants it: first address, the one after the last, and the bytes."""

    low: int
    high: int
    view: memoryview


_NOTHING = Span(1, 0, memoryview(b""))


class Memory:
    """A machine's memory. `views[i]` is the writable memory of `regions[i]`.

    `main` is the largest region, which nearly every address is in.
    """

    __slots__ = ("_guest", "_user", "main")

    def __init__(self, regions: Sequence[Region], views: Sequence[memoryview]) -> None:
        if [each.size for each in regions] != [len(view) for view in views]:
            raise ValueError("views do not have the regions' sizes")
        self._guest = tuple(
            Span(each.guest, each.guest + each.size, view)
            for each, view in zip(regions, views, strict=True)
        )
        self._user = tuple(
            Span(each.user, each.user + each.size, view)
            for each, view in zip(regions, views, strict=True)
        )
        self.main = max(self._guest, key=lambda span: span.high - span.low, default=_NOTHING)

    def guest(self, address: int, length: int) -> memoryview:
        """The bytes at a guest's physical address.

        Raises:
            RemoteProtocolError: there is no such memory.
        """
        return _find(self._guest, address, length)

    def user(self, address: int, length: int) -> memoryview:
        """The bytes at an address of the front-end.

        Raises:
            RemoteProtocolError: there is no such memory.
        """
        return _find(self._user, address, length)


def _find(spans: tuple[Span, ...], address: int, length: int) -> memoryview:
    for span in spans:
        if span.low <= address and address + length <= span.high:
            start = address - span.low
            return span.view[start : start + length]
    raise RemoteProtocolError(f"{length} bytes at {address:#x} are not in the machine's memory")


def check(regions: Sequence[Region]) -> None:
    """See that a table makes sense, before anything is mapped.

    Raises:
        RemoteProtocolError: a region is empty, too large, or overlaps another.
    """
    for each in regions:
        if not 0 < each.size <= MAX_SIZE or each.offset > MAX_SIZE:
            raise RemoteProtocolError(f"a region of {each.size} bytes at {each.offset}")
        if max(each.guest, each.user) + each.size > _END:
            raise RemoteProtocolError("a region beyond the end of all addresses")
    for starts in ("guest", "user"):
        ordered = sorted((getattr(each, starts), each.size) for each in regions)
        for (low, size), (following, _) in pairwise(ordered):
            if low + size > following:
                raise RemoteProtocolError(f"regions overlap at {following:#x}")
