"""Frames of links into pcapng files, as they pass.

    capture = Capture(FileSink(Path("x.pcapng")), Options(filter="tcp port 80"), wall_ns)
    capture.seen(link, buffers, head, Direction.OUT)      for each frame
    capture.flush()                                       from time to time, and at the end

A capture gathers blocks and hands them to its sink, whole blocks at a time, when `FLUSH_BYTES`
have gathered or it is told to flush. A sink that fails (a full disk) ends the capture, not the
network: the error is logged, and what comes after is counted as lost.

Names that addresses have (`learn`) are written once for each file. Everything belongs to the
loop's thread; writing to a file may stall it, as any disk can.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from sampan.base import log
from sampan.net.link import pcapng
from sampan.net.link.filter import compile_filter
from sampan.net.link.pcapng import Direction
from sampan.net.runtime.view.plain import plain
from sampan.net.wire.checksum import Buffer

FLUSH_BYTES = 1 << 16
MAX_NAMES = 10_000
MAX_LINKS = 1024
_log = log.get(__name__)


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What to capture: frames that a filter takes (see `link.filter`), and how much of each.

    `snap_length` 0 keeps frames whole.
    """

    filter: str = ""
    snap_length: int = 0
    comment: str = ""


class Sink(Protocol):
    """Where a capture goes."""

    @property
    def is_full(self) -> bool:
        """Whether frames are to be left out for a while."""

    def write(self, blocks: bytes) -> bool:
        """Take whole blocks. True: what comes next begins a new file, which wants its own heads.

        Raises:
            OSError: they cannot be written.
        """

    def look(self) -> bool:
        """Whether, as time passed, what comes next begins a new file; as `write` says it."""

    def close(self) -> None:
        """The capture is over."""


class Capture:
    """One capture.

    Args:
        sink: where it goes.
        options: what to capture.
        wall_ns: gives nanoseconds since 1970.

    Raises:
        UsageError: the filter makes no sense.
    """

    def __init__(self, sink: Sink, options: Options, wall_ns: Callable[[], int]) -> None:
        self.options = options
        self.frames = 0
        self.lost = 0
        self.is_over = False
        self._sink = sink
        self._wanted = compile_filter(options.filter) if options.filter.strip() else None
        self._wall_ns = wall_ns
        self._links: dict[str, int] = {}
        self._names: dict[bytes, tuple[str, ...]] = {}
        self._blocks: list[bytes] = [self._opening()]
        self._has_news = True  # the first file has its heads at once, others with their first news
        self._size = 0

    def seen(self, link: str, buffers: Sequence[Buffer], head: int, direction: Direction) -> None:
        """A frame passed on a link; `buffers` begin with an offload header of `head` bytes.

        `direction` is the machine's: OUT is what it sends.
        """
        if self.is_over or self._sink.is_full:
            self.lost += 1
            return
        whole = None
        if self._wanted is not None:
            whole = plain(buffers, head)
            if not self._wanted(whole.data):
                return
        snap = self.options.snap_length
        frame = whole if whole is not None and not snap else plain(buffers, head, snap)
        number = self._link(link)
        if number is None:
            self.lost += 1
            return
        self._put(
            pcapng.packet(
                frame.data, self._wall_ns(), interface=number, length=frame.length,
                direction=direction, comment=frame.comment,
            )
        )  # fmt: skip
        self.frames += 1

    def learn(self, address: bytes, names: tuple[str, ...]) -> None:
        """An address has these names, the one to be shown first."""
        if self.is_over or self._sink.is_full or not names or self._names.get(address) == names:
            return
        if len(self._names) >= MAX_NAMES:
            del self._names[next(iter(self._names))]
        self._names[address] = names
        self._put(_named({address: names}))

    def flush(self) -> None:
        """Hand over what has gathered."""
        if self.is_over:
            return
        if not self._has_news:
            is_new = self._sink.look()
        else:
            blocks = b"".join(self._blocks)
            self._blocks.clear()
            self._has_news = False
            self._size = 0
            try:
                is_new = self._sink.write(blocks)
            except OSError as error:
                _log.error("a capture ends: %s", error)
                self._end()
                return
        if is_new:
            self._blocks = [self._opening()]

    def close(self) -> None:
        """The end. Nothing happens the second time."""
        if not self.is_over:
            self.flush()
        if not self.is_over:
            self._end()

    def _end(self) -> None:
        self.is_over = True
        self._blocks.clear()
        self._sink.close()

    def _opening(self) -> bytes:
        """What each file begins with: the section, the links so far, the names so far."""
        heads = [pcapng.section(comment=self.options.comment)]
        heads += [pcapng.interface(name, self.options.snap_length) for name in self._links]
        if self._names:
            heads.append(_names(self._names))
        return b"".join(heads)

    def _link(self, name: str) -> int | None:
        number = self._links.get(name)
        if number is None and len(self._links) < MAX_LINKS:
            number = self._links[name] = len(self._links)
            self._put(pcapng.interface(name, self.options.snap_length))
        return number

    def _put(self, block: bytes) -> None:
        self._blocks.append(block)
        self._has_news = True
        self._size += len(block)
        if self._size >= FLUSH_BYTES:
            self.flush()


def _names(names: dict[bytes, tuple[str, ...]]) -> bytes:
    """Blocks of a bounded size for any number of names."""
    addresses = list(names)
    chunks = (addresses[at : at + 500] for at in range(0, len(addresses), 500))
    return b"".join(_named({each: names[each] for each in chunk}) for chunk in chunks)


def _named(names: Mapping[bytes, tuple[str, ...]]) -> bytes:
    """A block of names. Wireshark shows the last of an address, so the first comes last."""
    return pcapng.names({address: each[::-1] for address, each in names.items()})
