"""A split virtqueue, from the device's side (virtio 1.2, section 2.7).

Theory of operation. The driver writes buffers into the descriptor table and their numbers into
the available ring; `take` gives them to the device as chains of views of the machine's memory.
What the device is done with it gives back through the used ring (`give_back`), and then asks
`must_notify` once for the whole batch. `rest` asks to be notified of new buffers and tells
whether some came in the meantime; until it is called the driver need not notify.

All buffers of a network's or vsock's ring have one direction: the device only reads them, or only
writes them. Where each chain has both (`Layout.writable` is None), first what the device reads
and then what it writes, as questions with room for an answer, `take_both` takes them.

Nothing that the driver wrote is believed. Each number is read once and checked; a chain is no
longer than `MAX_CHAIN`, so a loop is a fault like any other. Faults raise `RemoteProtocolError`.

The order in which memory is written matters to the other side. `fence` is called where a store
must be seen before what follows it; a pure module has no means of its own.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sampan.vhost.core.dirty import DirtyLog
from sampan.vhost.core.error import RemoteProtocolError
from sampan.vhost.core.memory import Memory

Chain: TypeAlias = tuple[int, list[memoryview]]  # the number to give back, and the buffers
Both: TypeAlias = tuple[int, list[memoryview], list[memoryview]]  # what is read, what is written
Fence: TypeAlias = Callable[[], None]

MAX_SIZE = 32768
MAX_CHAIN = 1024  # what Linux and QEMU hold to as well
DESCRIPTOR = struct.Struct("<QIHH")
_unpack = DESCRIPTOR.unpack_from
_NEXT, _WRITE, _INDIRECT = 1, 2, 4
_NO_NOTIFY = 1


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a ring is, in addresses of the front-end, and how it is to be used."""

    size: int
    descriptors: int
    available: int
    used: int
    writable: bool | None  # whether the device writes its buffers; None: each chain has both kinds
    event_index: bool = False
    indirect: bool = False
    log_used: int | None = None  # where the used ring is in the log of what is written

    def check(self) -> None:
        """Raises RemoteProtocolError if no ring can be like that."""
        if not 0 < self.size <= MAX_SIZE or self.size & (self.size - 1):
            raise RemoteProtocolError(f"a ring of {self.size} descriptors")
        if self.descriptors % 16 or self.available % 2 or self.used % 4:
            raise RemoteProtocolError("a ring that is not aligned")


class Ring:
    """One running virtqueue."""

    __slots__ = (
        "_available",
        "_available_event",
        "_dirty",
        "_event_index",
        "_fence",
        "_flag",
        "_high",
        "_indirect",
        "_kinds",
        "_last",
        "_low",
        "_main",
        "_mask",
        "_memory",
        "_signalled",
        "_slots",
        "_table",
        "_taken",
        "_used",
        "_used_event",
        "_used_head",
        "_used_index",
        "layout",
        "size",
    )  # fmt: skip

    def __init__(
        self, layout: Layout, memory: Memory, fence: Fence, dirty: DirtyLog | None = None
    ) -> None:
        layout.check()
        self.layout = layout
        self.size = size = layout.size
        self._mask = size - 1
        self._fence = fence
        self._event_index = layout.event_index
        self._indirect = layout.indirect
        self._flag = _WRITE if layout.writable else 0
        self._signalled: int | None = None
        self._dirty: DirtyLog | None = None
        self._taken: dict[int, list[tuple[int, int]]] = {}
        self._bind(memory)
        # we give chains back in the order we take them: whoever was here before got this far
        self._last = self._used_index = self._used_head[1]
        self.log(dirty)

    def _bind(self, memory: Memory) -> None:
        """Find the ring in memory; `memory` may be a new table for the same ring."""
        size, layout = self.size, self.layout
        self._table = memory.user(layout.descriptors, 16 * size)
        available = memory.user(layout.available, 6 + 2 * size)
        self._available = available[:4].cast("H")
        self._slots = available[4 : 4 + 2 * size].cast("H")
        self._used_event = available[4 + 2 * size :].cast("H")
        used = memory.user(layout.used, 6 + 8 * size)
        self._used_head = used[:4].cast("H")
        self._used = used[4 : 4 + 8 * size].cast("Q")
        self._available_event = used[4 + 8 * size :].cast("H")
        self._memory = memory
        self._low, self._high, self._main = memory.main.low, memory.main.high, memory.main.view

    def rebind(self, memory: Memory) -> None:
        """The machine's memory has a new table; chains taken under the old one must not be used.

        Raises:
            RemoteProtocolError: the ring is not in it.
        """
        self._bind(memory)

    @property
    def base(self) -> int:
        """Where a ring that is stopped goes on later: after what was given back."""
        return self._used_index

    # From the driver

    def take(self, limit: int) -> list[Chain]:
        """The next chains that the driver made available; at most `limit` of them."""
        last = self._last
        available = self._available[1]
        if available == last:
            return []
        if (available - self._used_index) & 0xFFFF > self.size:
            raise RemoteProtocolError(f"more buffers available than a ring of {self.size} has")
        start = last & self._mask
        end = start + min((available - last) & 0xFFFF, limit)
        heads = self._slots[start:end].tolist()
        if end > self.size:
            heads += self._slots[: end - self.size].tolist()
        if self._dirty is not None:
            return [self._take_logged(head) for head in heads]
        chains: list[Chain] = []
        add, table, wanted = chains.append, self._table, self._flag
        low, high, main = self._low, self._high, self._main
        for head in heads:
            if head > self._mask:
                raise RemoteProtocolError(f"descriptor {head} in a ring of {self.size}")
            address, length, flags, _ = _unpack(table, head << 4)
            first = address - low
            if flags == wanted and first >= 0 and address + length <= high:
                add((head, [main[first : first + length]]))  # one descriptor: the usual case
            else:
                add((head, [self._memory.guest(*span) for span in self._spans(head)]))
        self._last = (last + len(heads)) & 0xFFFF
        return chains

    def take_both(self) -> Both | None:
        """The next chain, of a ring whose chains have both directions."""
        last = self._last
        available = self._available[1]
        if available == last:
            return None
        if (available - self._used_index) & 0xFFFF > self.size:
            raise RemoteProtocolError(f"more buffers available than a ring of {self.size} has")
        head = self._slots[last & self._mask]
        writable: list[tuple[int, int]] = []
        readable = self._spans(head, writable)
        self._last = (last + 1) & 0xFFFF
        if self._dirty is not None:
            self._taken[head] = writable
        guest = self._memory.guest
        return head, [guest(*span) for span in readable], [guest(*span) for span in writable]

    def _take_logged(self, head: int) -> Chain:
        """One chain, with a note of where its buffers are."""
        spans = self._spans(head)
        self._last = (self._last + 1) & 0xFFFF
        self._taken[head] = spans
        return head, [self._memory.guest(*span) for span in spans]

    def _spans(
        self, head: int, others: list[tuple[int, int]] | None = None
    ) -> list[tuple[int, int]]:
        """Addresses and lengths of a chain's buffers, wherever they are.

        With `others`, buffers may follow that are written; they are added to that list.
        """
        table, size, at = self._table, self.size, head
        spans: list[tuple[int, int]] = []
        found, wanted = spans, self._flag
        for _ in range(MAX_CHAIN):
            if at >= size:
                raise RemoteProtocolError(f"descriptor {at} in a table of {size}")
            address, length, flags, following = _unpack(table, at << 4)
            if flags & _INDIRECT:
                table, size, at = (
                    self._indirect_table(table, address, length, flags),
                    length >> 4,
                    0,
                )
                continue
            if flags & _WRITE != wanted:
                if others is None or found is others:
                    raise RemoteProtocolError("a buffer of the wrong direction")
                found, wanted = others, _WRITE
            if length:
                found.append((address, length))
            if not flags & _NEXT:
                return spans
            at = following
        raise RemoteProtocolError(f"a chain of more than {MAX_CHAIN} descriptors")

    def _indirect_table(
        self, table: memoryview, address: int, length: int, flags: int
    ) -> memoryview:
        if not self._indirect or table is not self._table or flags & _NEXT:
            raise RemoteProtocolError("an indirect table where there can be none")
        if not 0 < length <= 16 * MAX_CHAIN or length % 16:
            raise RemoteProtocolError(f"an indirect table of {length} bytes")
        return self._memory.guest(address, length)

    def put_back(self, count: int) -> None:
        """The last `count` chains that were taken will not be used; they can be taken again."""
        self._last = (self._last - count) & 0xFFFF

    # To the driver

    def give_back(self, used: Sequence[int]) -> None:
        """Give chains back: for each its number, plus how many bytes were written times 2**32."""
        count, size = len(used), self.size
        if self._dirty is not None:
            self._mark(self._dirty, used)
        start = self._used_index & self._mask
        end = start + count
        if end <= size:
            self._used[start:end] = array("Q", used)
        else:
            first = size - start
            self._used[start:] = array("Q", used[:first])
            self._used[: end - size] = array("Q", used[first:])
        self._used_index = (self._used_index + count) & 0xFFFF
        self._fence()
        self._used_head[1] = self._used_index

    def must_notify(self) -> bool:
        """Whether the driver wants to be told of what was given back since the last call."""
        self._fence()
        old, self._signalled = self._signalled, self._used_index
        if old is None:
            return True
        if not self._event_index:
            return old != self._used_index and not self._available[0] & _NO_NOTIFY
        passed = (self._used_index - self._used_event[0] - 1) & 0xFFFF
        return passed < (self._used_index - old) & 0xFFFF

    def rest(self) -> bool:
        """Ask to be notified of new buffers; False: there are some already, so take them first."""
        if self._event_index:
            self._available_event[0] = self._last
        else:
            self._used_head[0] = 0
        self._fence()
        return self._available[1] == self._last

    def wake(self) -> None:
        """No notification is needed until `rest`."""
        if not self._event_index:
            self._used_head[0] = _NO_NOTIFY

    # While the machine moves

    def log(self, dirty: DirtyLog | None) -> None:
        """Mark in `dirty` what is written from now on; chains taken before must be put back."""
        self._dirty = dirty
        self._taken.clear()

    def _mark(self, dirty: DirtyLog, used: Sequence[int]) -> None:
        for entry in used:
            written = entry >> 32
            for address, length in self._taken.pop(entry & 0xFFFFFFFF, ()):
                dirty.mark(address, min(length, written))
                written -= min(length, written)
        if self.layout.log_used is not None:
            dirty.mark(self.layout.log_used, 6 + 8 * self.size)
