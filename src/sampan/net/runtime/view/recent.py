"""The last frames of a network, in bounded memory: for when something has just gone wrong."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from sampan.net.link import pcapng
from sampan.net.link.pcapng import Direction
from sampan.net.runtime.view.plain import Plain, plain
from sampan.net.wire.checksum import Buffer

SNAP_LENGTH = 256
MAX_BYTES = 4 << 20
_COST = 200  # bytes that a frame takes beside its own


class _Seen(NamedTuple):
    link: str
    time_ns: int
    frame: Plain
    direction: Direction


class Recent:
    """Keeps as many of the last frames as fit into `max_bytes`, cut to `snap_length` bytes."""

    def __init__(
        self, wall_ns: Callable[[], int], *,
        max_bytes: int = MAX_BYTES, snap_length: int = SNAP_LENGTH,
    ) -> None:  # fmt: skip
        self._wall_ns = wall_ns
        self._max_bytes = max_bytes
        self._snap_length = snap_length
        self._frames: deque[_Seen] = deque()
        self._size = 0

    def __len__(self) -> int:
        return len(self._frames)

    def seen(self, link: str, buffers: Sequence[Buffer], head: int, direction: Direction) -> None:
        """A frame passed on a link: see `Capture.seen`."""
        frame = plain(buffers, head, self._snap_length)
        self._frames.append(_Seen(link, self._wall_ns(), frame, direction))
        self._size += len(frame.data) + _COST
        while self._size > self._max_bytes:
            self._size -= len(self._frames.popleft().frame.data) + _COST

    def dump(self, names: Mapping[bytes, tuple[str, ...]]) -> Iterator[bytes]:
        """A capture of what is kept, block by block; `names` are those of addresses."""
        links = list(dict.fromkeys(each.link for each in self._frames))
        yield pcapng.section(comment="the last frames")
        for link in links:
            yield pcapng.interface(link, self._snap_length)
        for address, texts in names.items():  # Wireshark shows the last one
            yield pcapng.names({address: texts[::-1]})
        for link, time_ns, frame, direction in tuple(self._frames):
            yield pcapng.packet(
                frame.data, time_ns, interface=links.index(link), length=frame.length,
                direction=direction, comment=frame.comment,
            )  # fmt: skip
