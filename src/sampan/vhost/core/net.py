"""A network device on two rings: frames that the machine sent, and frames for it.

A frame is what `virtio_net_hdr` (12 bytes; virtio 1.2, section 5.1.6) and Ethernet make it, with
offload up to 64 KiB. `FrameReader` is for the machine's transmit ring, `FrameWriter` for its
receive ring.

Each frame is copied once, either way. On its way out that makes one piece of it, which most
frames of 64 KiB are not, lets its buffers be given back at once, and keeps the machine from
changing headers that were looked at already.

A driver of before version 1 without merged buffers has a header of 10 bytes; it is made 12 here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TypeAlias

from sampan.vhost.core.error import RemoteProtocolError
from sampan.vhost.core.ring import Ring

Buffer: TypeAlias = bytes | bytearray | memoryview
Frame: TypeAlias = tuple[Buffer, ...]

RECEIVE_QUEUE, TRANSMIT_QUEUE = 0, 1  # as the machine sees it
HEADER_LENGTH = 12
LEGACY_HEADER_LENGTH = 10
MAX_FRAME = HEADER_LENGTH + 14 + 4 + 65535
MIN_FRAME = HEADER_LENGTH + 14
BATCH = 32
STAGING = BATCH * MAX_FRAME
MAX_WAITING = 1024
_TAKE = 32
_Room: TypeAlias = tuple[int, list[memoryview], int]  # a chain, and how many bytes it has
_ONE = b"\1\0"


class FrameReader:
    """Reads what the machine sends. `staging`: at least `STAGING` bytes, used over and over."""

    __slots__ = ("_staging", "dropped", "header", "ring")

    def __init__(self, ring: Ring, staging: memoryview, header: int = HEADER_LENGTH) -> None:
        if len(staging) < STAGING:
            raise ValueError(f"frames need {STAGING} bytes of room")
        self._staging = staging
        self.ring = ring
        self.header = header
        self.dropped = 0

    def read(self) -> list[memoryview] | None:
        """A batch of frames, valid until the next call; None: there is nothing.

        Their buffers have gone back to the driver; call `ring.must_notify` after the last batch.
        The list may be empty, if there were only frames that are none.
        """
        chains = self.ring.take(BATCH)
        if not chains:
            return None
        frames: list[memoryview] = []
        staging, at = self._staging, 0
        for _, buffers in chains:
            start = end = at
            for buffer in _padded(buffers) if self.header != HEADER_LENGTH else buffers:
                begin, end = end, end + len(buffer)
                if end - start > MAX_FRAME:
                    break
                staging[begin:end] = buffer
            if MIN_FRAME <= end - start <= MAX_FRAME:
                frames.append(staging[start:end])
                at = end
            else:
                self.dropped += 1
        self.ring.give_back([head for head, _ in chains])
        return frames


def _padded(buffers: list[memoryview]) -> list[memoryview]:
    """A frame with the two bytes that its header lacks."""
    whole = b"".join(buffers)[:MAX_FRAME]
    header = whole[:LEGACY_HEADER_LENGTH].ljust(HEADER_LENGTH, b"\0")
    return [memoryview(header + whole[LEGACY_HEADER_LENGTH:])]


class FrameWriter:
    """Writes frames for the machine into the buffers that it left for them.

    What there is no buffer for waits, up to `MAX_WAITING` frames; more are dropped. With
    `merged`, a frame may span several chains; without, it must fit one.
    """

    __slots__ = ("_rooms", "_size", "_waiting", "dropped", "header", "merged", "ring")

    def __init__(self, ring: Ring, *, merged: bool, header: int = HEADER_LENGTH) -> None:
        self.ring = ring
        self.merged = merged
        self.header = header
        self.dropped = 0
        self._rooms: deque[_Room] = deque()  # taken in advance
        self._size = 0  # bytes in them
        self._waiting: deque[Frame] = deque()

    @property
    def waiting(self) -> int:
        """How many frames wait for buffers."""
        return len(self._waiting)

    def write(self, frames: Iterable[Frame] = ()) -> bool:
        """Write frames, after those that wait already. True: the driver is to be notified.

        If some still wait, the driver was asked to tell when there are buffers; call again then.
        """
        waiting, rooms, used = self._waiting, self._rooms, list[int]()
        waiting.extend(frames)
        while waiting:
            frame = waiting[0]
            size = len(frame[0]) if len(frame) == 1 else sum(map(len, frame))
            if not self._reserve(size) and len(rooms) < self.ring.size:
                break
            waiting.popleft()
            if self.header == LEGACY_HEADER_LENGTH:
                frame, size = _shortened(frame), size - 2
            if rooms and size <= len(rooms[0][1][0]):
                used.append(self._write_one(frame, size))
            elif size <= (self._size if self.merged else rooms[0][2]):
                self._write_many(frame, size, used)
            else:  # not even the whole ring, or the one chain that it may fill, is enough
                self.dropped += 1
        if used:
            self.ring.give_back(used)
        while len(waiting) > MAX_WAITING:
            waiting.pop()
            self.dropped += 1
        return bool(used) and self.ring.must_notify()

    def put_back(self) -> None:
        """Let go of buffers that were taken in advance; they will be taken again."""
        self.ring.put_back(len(self._rooms))
        self._rooms.clear()
        self._size = 0

    def _reserve(self, size: int) -> bool:
        """Take chains until there is room for `size` bytes. False: there are no more now."""
        wanted = size if self.merged else 1
        while self._size < wanted:
            chains = self.ring.take(_TAKE)
            if not chains and self.ring.rest():
                return False
            for head, views in chains:
                room = len(views[0]) if len(views) == 1 else sum(map(len, views))
                if not room:
                    raise RemoteProtocolError("a buffer for frames without a byte")
                self._size += room
                self._rooms.append((head, views, room))
        return True

    def _write_one(self, frame: Frame, size: int) -> int:
        """Write a frame that one buffer has room for: what to give back."""
        head, views, room = self._rooms.popleft()
        self._size -= room
        view = views[0]
        if len(frame) == 1:
            view[:size] = frame[0]
        else:
            at = 0
            for part in frame:
                end = at + len(part)
                view[at:end] = part
                at = end
        if self.header == HEADER_LENGTH:
            view[LEGACY_HEADER_LENGTH:HEADER_LENGTH] = _ONE
        return head | size << 32

    def _write_many(self, frame: Frame, size: int, used: list[int]) -> None:
        """Write a frame over as many buffers as it takes; add to `used` what to give back."""
        views: list[memoryview] = []
        left, before, take = size, len(used), self._rooms.popleft
        while left > 0:
            head, parts, room = take()
            used.append(head | (min(left, room)) << 32)
            views += parts
            left -= room
            self._size -= room
        if self.header == HEADER_LENGTH:
            frame = _counted(frame, len(used) - before)
        _scatter(frame, views)


def _counted(frame: Frame, count: int) -> Frame:
    """The frame with the number of merged buffers in its header."""
    first = memoryview(frame[0] if len(frame[0]) >= HEADER_LENGTH else b"".join(frame))
    rest = frame[1:] if len(frame[0]) >= HEADER_LENGTH else ()
    header = bytes(first[:LEGACY_HEADER_LENGTH]) + count.to_bytes(2, "little")
    return header, first[HEADER_LENGTH:], *rest


def _shortened(frame: Frame) -> Frame:
    """The frame as an old driver has it, whose header does not end in a count."""
    header, body, *rest = _counted(frame, 1)
    return header[:LEGACY_HEADER_LENGTH], body, *rest


def _scatter(parts: Frame, views: list[memoryview]) -> None:
    """Copy `parts`, end to end, into `views`, end to end; there is room for all."""
    following = iter(views)
    view = next(following)
    room = len(view)
    for part in parts:
        source, start, end = memoryview(part), 0, len(part)
        while end - start > room:
            view[:] = source[start : start + room]
            start += room
            view = next(following)
            room = len(view)
        view[: end - start] = source[start:end]
        view = view[end - start :]
        room -= end - start
