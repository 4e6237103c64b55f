"""What a machine has sent and the host has not taken yet: the window, and what came out of order.

Theory of operation. In-order data arrives as views of the link's buffers (`inbox`), valid until
the next batch of frames. The runtime hands them to the host's socket; what the kernel does not
take is copied (`kept`) and handed out again later. As long as something is kept, the right edge
of the window stands still; as soon as all is taken, it moves to its full size again. So the
window follows what the host takes, and nothing waits here that the kernel could hold.

The window starts at `first_window` and doubles, up to the limit, whenever a whole window was
taken without anything being left; it halves when the kernel refuses.

Out of order, a flow may hold a bounded number of pieces inside its window; overlaps are cut.
They are what SACK blocks tell of, the latest first (RFC 2018, 4).

It may not know about headers, frames or the state of the flow.
"""

from __future__ import annotations

from sampan.net.core.buffer import Account
from sampan.net.core.limit import Limits
from sampan.net.wire import seqnum, tcp
from sampan.net.wire.checksum import Buffer

MASK = seqnum.MASK
_MAX_BLOCKS = 3  # of SACK; a fourth does not fit beside timestamps
_MAX_BUFFERS = 64  # handed out at once; sendmsg takes 1024


class Receiver:
    """The receiving half of a flow. `next` is the next number expected, `edge` the window's end."""

    __slots__ = (
        "account", "edge", "inbox", "kept", "limits", "next", "pieces", "pieces_size", "recent",
        "scale", "size", "taken", "target",
    )  # fmt: skip

    def __init__(self, limits: Limits, account: Account) -> None:
        self.limits = limits
        self.account = account
        self.next = self.edge = 0
        self.target = min(limits.first_window, limits.receive_window)
        self.scale = 0
        self.inbox: list[memoryview] = []
        self.kept = bytearray()
        self.size = 0  # of both
        self.taken = 0  # since the window last grew
        self.pieces: list[tuple[int, bytes]] = []  # in order of their numbers
        self.pieces_size = 0
        self.recent = 0  # the number whose piece came last

    def opened(self, sequence: int, *, scaled: bool) -> None:
        """The machine's SYN had this number; `scaled`: it understands window scaling."""
        self.next = self.edge = seqnum.add(sequence, 1)
        if scaled:
            self.scale = self.scale_for()
        else:
            self.target = min(self.target, 0xFFFF)

    def scale_for(self) -> int:
        """The window scale that lets the largest window be told (RFC 7323, 2.2)."""
        shift = (self.limits.receive_window >> 16).bit_length()
        return min(shift, tcp.MAX_WINDOW_SHIFT)

    def window(self) -> int:
        """The window to advertise, scaled; what is advertised once is never taken back."""
        free = self.target - self.size
        if free > 0:
            edge = (self.next + free) & MASK
            grown = ((edge - self.edge) & MASK ^ 0x80000000) - 0x80000000
            if grown > 0 and (not self.kept or grown >= self.target >> 1):
                self.edge = edge
        field = ((self.edge - self.next) & MASK) >> self.scale
        return min(65535, field)

    def syn_window(self) -> int:
        """The window that a SYN carries, which is never scaled."""
        self.edge = seqnum.add(self.next, min(self.target, 0xFFFF))
        return seqnum.distance(self.next, self.edge)

    @property
    def open_window(self) -> int:
        """How many bytes the machine may still send."""
        return (self.edge - self.next) & MASK

    def accept(self, payload: memoryview) -> None:
        """Data that begins at `next` and lies within the window."""
        size = len(payload)
        self.next = (self.next + size) & MASK
        self.inbox.append(payload)
        self.size += size

    def data(self) -> list[Buffer]:
        """What waits for the host, oldest first; valid until the next batch of frames."""
        if self.kept:
            return [self.kept, *self.inbox[:_MAX_BUFFERS]]
        return list(self.inbox[:_MAX_BUFFERS])

    def consumed(self, size: int) -> None:
        """The host took the first `size` bytes of `data()`."""
        if size < self.size:
            self._partly(size)
            return
        self.inbox.clear()
        if self.kept:
            self.account.held -= len(self.kept)
            self.kept = bytearray()
        self.size = 0
        self.taken += size
        if self.taken >= self.target < self.limits.receive_window and self.scale:
            self.target = min(self.target * 2, self.limits.receive_window)
            self.taken = 0

    def _partly(self, size: int) -> None:
        self.keep()
        del self.kept[:size]
        self.account.held -= size
        self.size -= size
        self.taken = 0
        floor = min(self.limits.first_window, self.target)
        self.target = max(self.target // 2, floor)

    def keep(self) -> None:
        """The link's buffers are about to be used again: copy what still waits in them."""
        for view in self.inbox:
            self.kept += view
            self.account.held += len(view)
        self.inbox.clear()

    def has_room(self, size: int) -> bool:
        """Whether `size` bytes more may be taken in, by the window and by the account."""
        if size > self.open_window:
            return False
        return not self.kept or self.account.has_room(self.size + size)

    def offer(self, start: int, payload: bytes) -> bytes:
        """Data that begins at `start`, at or after `next`: what is in order now, or empty.

        What does not fit the window is cut off. The result is to be given to `accept`.
        """
        ahead = seqnum.distance(self.next, start)
        payload = payload[: max(self.open_window - ahead, 0)]
        if ahead == 0:
            return self._joined(payload)
        if payload and len(self.pieces) < self.limits.out_of_order:
            self._store(start, payload)
        return b""

    def _store(self, start: int, payload: bytes) -> None:
        """Hold `payload`, less what is held already."""
        self.recent = start
        first = seqnum.distance(self.next, start)
        if not self.pieces or first >= self._reach():
            if self.account.has_room(len(payload)):
                self._hold([*self.pieces, (start, payload)], self.pieces_size + len(payload))
            return
        kept: list[tuple[int, bytes]] = []
        for held, piece in self.pieces:
            low = seqnum.distance(self.next, held)
            high = low + len(piece)
            if high <= first or low >= first + len(payload):
                kept.append((held, piece))
            elif low <= first and high >= first + len(payload):
                return
            elif low <= first:
                payload = payload[high - first :]
                first = high
                kept.append((held, piece))
            elif high <= first + len(payload):
                continue  # the new one covers it
            else:
                payload = payload[: low - first]
                kept.append((held, piece))
        size = sum(len(piece) for _, piece in kept) + len(payload)
        if self.account.has_room(size - self.pieces_size):
            kept.append((seqnum.add(self.next, first), payload))
            kept.sort(key=lambda each: seqnum.distance(self.next, each[0]))
            self._hold(kept, size)

    def _reach(self) -> int:
        """Where the last piece ends, counted from `next`."""
        start, piece = self.pieces[-1]
        return seqnum.distance(self.next, start) + len(piece)

    def _hold(self, pieces: list[tuple[int, bytes]], size: int) -> None:
        self.account.held += size - self.pieces_size
        self.pieces, self.pieces_size = pieces, size

    def _joined(self, payload: bytes) -> bytes:
        """`payload` at `next`, with the pieces that now follow it."""
        if not self.pieces:
            return payload
        parts = [payload]
        end = len(payload)
        rest = list(self.pieces)
        while rest and seqnum.distance(self.next, rest[0][0]) <= end:
            start, piece = rest.pop(0)
            piece = piece[max(end - seqnum.distance(self.next, start), 0) :]
            parts.append(piece)
            end += len(piece)
        self._hold(rest, sum(len(piece) for _, piece in rest))
        return b"".join(parts)

    def blocks(self) -> tuple[tuple[int, int], ...]:
        """What is held out of order, as SACK blocks, the one that grew last first."""
        ranges: list[tuple[int, int]] = []
        for start, piece in self.pieces:
            end = seqnum.add(start, len(piece))
            if ranges and ranges[-1][1] == start:
                ranges[-1] = (ranges[-1][0], end)
            else:
                ranges.append((start, end))
        for index, (start, end) in enumerate(ranges):
            if seqnum.at_most(start, self.recent) and seqnum.before(self.recent, end):
                ranges.insert(0, ranges.pop(index))
        return tuple(ranges[:_MAX_BLOCKS])

    def finished(self) -> None:
        """The machine's FIN is in order: whatever was held beyond it is nothing but a lie."""
        self.next = (self.next + 1) & MASK
        self._hold([], 0)

    def release(self) -> None:
        """The flow is over; what it held is given up."""
        self.account.held -= len(self.kept) + self.pieces_size
        self.inbox.clear()
        self.pieces.clear()
        self.kept = bytearray()
        self.size = self.pieces_size = 0
