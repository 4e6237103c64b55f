"""All captures of one network: started, fed and stopped while it runs.

Whoever passes frames on (a wrapper of links) shows them to `seen`; while nobody captures,
`is_idle` says that there is no need to. The last frames are kept in any case, if asked for.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sampan.errors import UsageError
from sampan.net.link.pcapng import Direction
from sampan.net.runtime.loop import Loop, Timer
from sampan.net.runtime.view.capture import MAX_NAMES, Capture, Options, Sink
from sampan.net.runtime.view.recent import Recent
from sampan.net.runtime.view.sink import FileSink, PullSink
from sampan.net.wire.checksum import Buffer

FLUSH_S = 0.5
MAX_CAPTURES = 16


class Recorder:
    """The captures of a network.

    Args:
        loop: whose thread all of this happens in.
        keep_recent: whether to keep the last frames, for `dump`.
        wall_ns: gives nanoseconds since 1970.
    """

    def __init__(
        self, loop: Loop, *, keep_recent: bool = False, wall_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._loop = loop
        self._wall_ns = wall_ns
        self._captures: dict[str, Capture] = {}
        self._recent = Recent(wall_ns) if keep_recent else None
        self._names: OrderedDict[bytes, tuple[str, ...]] = OrderedDict()
        self._number = 0
        self._timer: Timer | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nobody wants to see frames."""
        return not self._captures and self._recent is None

    @property
    def captures(self) -> dict[str, Capture]:
        """Those that run, by their names."""
        return dict(self._captures)

    def to_file(
        self, path: Path, options: Options, *, max_bytes: int = 0, max_files: int = 0
    ) -> str:
        """Begin to write frames to a file; the name of the capture.

        With `max_bytes` the file is followed by others: see `FileSink`.

        Raises:
            UsageError: the filter makes no sense, the file cannot be made, or there are too many.
        """
        Capture(PullSink(lambda: None), options, self._wall_ns)  # a bad filter makes no file
        return self._begin(
            lambda: FileSink(path, max_bytes=max_bytes, max_files=max_files), options
        )

    def to_reader(self, options: Options, wake: Callable[[], None]) -> tuple[str, PullSink]:
        """Begin to keep frames for whoever pulls; the capture's name, and where to pull.

        Raises:
            UsageError: the filter makes no sense, or there are too many captures.
        """
        sink = PullSink(wake)
        name = self._begin(lambda: sink, options)
        self._captures[name].flush()  # the opening at once
        return name, sink

    def stop(self, name: str) -> Capture:
        """End a capture; it still has its counts.

        Raises:
            UsageError: there is none of that name.
        """
        capture = self._captures.pop(name, None)
        if capture is None:
            raise UsageError(f"there is no capture {name}", hint="see those that run")
        capture.close()
        return capture

    def seen(self, link: str, buffers: Sequence[Buffer], head: int, direction: Direction) -> None:
        """A frame passed on a link: see `Capture.seen`."""
        for capture in self._captures.values():
            capture.seen(link, buffers, head, direction)
        if self._recent is not None:
            self._recent.seen(link, buffers, head, direction)

    def learn(self, address: bytes, names: tuple[str, ...]) -> None:
        """An address (4 or 16 bytes) has these names."""
        if not names:
            return
        self._names[address] = names
        self._names.move_to_end(address)
        if len(self._names) > MAX_NAMES:
            self._names.popitem(last=False)
        for capture in self._captures.values():
            capture.learn(address, names)

    def dump(self) -> Iterator[bytes]:
        """A capture of the last frames; nothing if they are not kept."""
        return iter(()) if self._recent is None else self._recent.dump(self._names)

    def close(self) -> None:
        """End all captures."""
        for name in tuple(self._captures):
            self.stop(name)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin(self, make: Callable[[], Sink], options: Options) -> str:
        if len(self._captures) >= MAX_CAPTURES:
            raise UsageError(f"{MAX_CAPTURES} captures run already", hint="end one of them first")
        capture = Capture(make(), options, self._wall_ns)
        for address, names in self._names.items():
            capture.learn(address, names)
        self._number += 1
        name = str(self._number)
        self._captures[name] = capture
        self._schedule()
        return name

    def _schedule(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_at(self._loop.now() + FLUSH_S, self._flush)

    def _flush(self) -> None:
        self._timer = None
        for capture in self._captures.values():
            capture.flush()
        if self._captures:
            self._schedule()
