"""Packets in rings: those that the driver sent, and the buffers that it left for ours.

Data is not copied here. `PacketReader` shows where a packet's data lies in the machine's memory,
and `PacketWriter` where data may be put: Linux leaves 4 KiB in each buffer, so a large read from
a socket goes into many of them at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from sampan.vhost.core.error import RemoteProtocolError
from sampan.vhost.core.ring import Ring
from sampan.vhost.core.vsock_packet import HEADER_LENGTH, Packet, parse

RECEIVE_QUEUE, TRANSMIT_QUEUE = 0, 1  # as the machine sees it
BATCH = 64
_TAKE = 32


class PacketReader:
    """Reads what the driver sends, a batch at a time: `read`, use it, `give_back`.

    `silent` counts the packets given back since `must_notify` was asked last. A driver only
    frees them, so that may be asked seldom.
    """

    __slots__ = ("_heads", "ring", "silent")

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        self.silent = 0
        self._heads: list[int] = []

    def read(self) -> list[tuple[Packet, list[memoryview]]]:
        """Packets and their data, which lies in the machine's memory until `give_back`.

        Raises:
            RemoteProtocolError: they are none.
        """
        chains = self.ring.take(BATCH)
        self._heads = [head for head, _ in chains]
        return [parse(buffers) for _, buffers in chains]

    def give_back(self) -> None:
        """Give back what was read last."""
        self.ring.give_back(self._heads)
        self.silent += len(self._heads)
        self._heads = []

    def must_notify(self) -> bool:
        """Whether the driver wants to be told of all that was given back."""
        self.silent = 0
        return self.ring.must_notify()


class Room(NamedTuple):
    """A buffer of the driver: for a header, and for data (in pieces, of `size` bytes in all)."""

    head: int
    header: memoryview
    data: list[memoryview]
    size: int


class PacketWriter:
    """Keeps buffers that the driver left, and gives them back in the order in which they came."""

    __slots__ = ("_rooms", "_used", "ring")

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        self._rooms: deque[Room] = deque()
        self._used: list[int] = []

    def rooms(self, count: int) -> list[Room]:
        """The next buffers, at most `count`, each with room for data. If there are none, the driver will tell of new ones.

        They stay the next ones until they are `use`d.

        Raises:
            RemoteProtocolError: a buffer has no room for a header.
        """
        rooms = self._rooms
        while len(rooms) < count:
            chains = self.ring.take(max(_TAKE, count - len(rooms)))
            if chains:
                rooms.extend(_room(head, views) for head, views in chains)
            elif rooms or self.ring.rest():
                break
        if len(rooms) <= count:
            return list(rooms)
        return [rooms[number] for number in range(count)]

    def use(self, size: int) -> None:
        """The next buffer has been filled: a header, and `size` bytes of data."""
        self._used.append(self._rooms.popleft().head | (HEADER_LENGTH + size) << 32)

    def fill(self, size: int, header_of: Callable[[int], bytes]) -> int:
        """`size` bytes of data lie in the next buffers: write their headers, and use them.

        `header_of` makes one for so many bytes, most often the same again and again. How many
        buffers there were.
        """
        rooms, used = self._rooms, self._used
        before, length, header = len(used), 0, b""
        while size > 0:
            room = rooms.popleft()
            taken = min(room.size, size)
            if taken != length:
                length, header = taken, header_of(taken)
            room.header[:] = header
            used.append(room.head | (HEADER_LENGTH + taken) << 32)
            size -= taken
        return len(used) - before

    def give_back(self) -> bool:
        """Give back what was used. True: the driver is to be notified."""
        if not self._used:
            return False
        self.ring.give_back(self._used)
        self._used = []
        return self.ring.must_notify()

    def put_back(self) -> None:
        """Let go of buffers that were not used; they will be taken again."""
        self.ring.put_back(len(self._rooms))
        self._rooms.clear()


def _room(head: int, views: list[memoryview]) -> Room:
    if not views or len(views[0]) < HEADER_LENGTH:  # as no driver does, though it might
        raise RemoteProtocolError("a buffer that does not begin with room for a header")
    first = views[0]
    data = views[1:] if len(first) == HEADER_LENGTH else [first[HEADER_LENGTH:], *views[1:]]
    size = sum(map(len, data))
    if not size:
        raise RemoteProtocolError("a buffer without room for data")
    return Room(head, first[:HEADER_LENGTH], data, size)
