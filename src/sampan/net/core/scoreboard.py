"""Which of the bytes in flight a machine says it has (SACK, RFC 2018).

Ranges of sequence numbers, disjoint and in order, counted from the first unacknowledged byte.
Bounded: a machine that reports more islands than it could remember is not believed further.
"""

from __future__ import annotations

from collections.abc import Iterable

from sampan.net.wire import seqnum

MAX_RANGES = 128


class Scoreboard:
    """The ranges above `una`. All numbers are 32-bit sequence numbers, all sizes in bytes."""

    __slots__ = ("ranges", "una")

    def __init__(self, una: int) -> None:
        self.una = una
        self.ranges: list[tuple[int, int]] = []  # offsets from `una`

    def clear(self) -> None:
        """Believe nothing any more (RFC 2018, 8: after a time-out)."""
        self.ranges.clear()

    def advance(self, una: int) -> None:
        """Everything before `una` has been acknowledged for good."""
        moved = seqnum.distance(self.una, una)
        self.una = una
        if self.ranges:
            self.ranges = [
                (max(start - moved, 0), end - moved) for start, end in self.ranges if end > moved
            ]

    def add(self, blocks: Iterable[tuple[int, int]], sent: int) -> None:
        """The machine has `blocks`; what lies outside of una to `sent` is no news or a lie."""
        flight = seqnum.distance(self.una, sent)
        for first, last in blocks:
            start, end = seqnum.distance(self.una, first), seqnum.distance(self.una, last)
            if 0 <= start < end <= flight:
                self._insert(start, end)

    def _insert(self, start: int, end: int) -> None:
        apart = []
        for low, high in self.ranges:
            if high < start or low > end:
                apart.append((low, high))
            else:
                start, end = min(start, low), max(end, high)
        if len(apart) < MAX_RANGES:
            self.ranges = sorted([*apart, (start, end)])

    @property
    def size(self) -> int:
        """How many bytes beyond `una` have arrived."""
        return sum(end - start for start, end in self.ranges)

    @property
    def highest(self) -> int:
        """Where the last range ends; `una` if there is none."""
        return seqnum.add(self.una, self.ranges[-1][1] if self.ranges else 0)

    def size_before(self, number: int) -> int:
        """How many bytes between `una` and `number` have arrived."""
        limit = seqnum.distance(self.una, number)
        return sum(min(end, limit) - start for start, end in self.ranges if start < limit)

    def hole(self, start: int, end: int) -> tuple[int, int] | None:
        """The first bytes from `start` to `end` that are missing, if any are."""
        low, limit = seqnum.distance(self.una, start), seqnum.distance(self.una, end)
        for first, last in self.ranges:
            if low < first:
                limit = min(limit, first)
                break
            low = max(low, last)
        if low >= limit:
            return None
        return seqnum.add(self.una, low), seqnum.add(self.una, limit)
