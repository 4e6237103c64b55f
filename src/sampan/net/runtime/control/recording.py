"""The captures of a running network: to files, and to whoever asks for one.

All of them see the frames of all links (`Engine.watch_frames`). What has gathered in a capture
is handed over twice a second. Names of addresses are those of leases and flows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from sampan.base.loop import Timer
from sampan.errors import UsageError
from sampan.net.runtime.assembly import Assembly
from sampan.net.runtime.control import model
from sampan.net.runtime.control.fault import NotFoundError
from sampan.net.runtime.view.capture import Capture, Options, Sink
from sampan.net.runtime.view.eventlog import Entry
from sampan.net.runtime.view.flowtable import FlowRecord
from sampan.net.runtime.view.sink import FileSink, PullSink, Rotation
from sampan.net.wire.address import parse_ip

FLUSH_S = 0.5
MAX_CAPTURES = 16


class Recording:
    """The captures of one network. Belongs to the loop's thread."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._loop = assembly.engine.loop
        self._captures: set[Capture] = set()
        self._files: dict[str, tuple[model.CaptureRecord, Capture]] = {}
        self._number = 0
        self._timer: Timer | None = None
        self._forget: Callable[[], None] | None = None

    def files(self) -> tuple[model.CaptureRecord, ...]:
        """The captures to files that run."""
        self._sweep()
        return tuple(record for record, _ in self._files.values())

    def to_file(self, asked: model.CaptureAsked) -> model.CaptureRecord:
        """Begin one.

        Raises:
            UsageError: the file cannot be made, the filter or the limits of files make no sense,
                or too many run.
        """
        options = _options(asked)
        rotation = Rotation(
            max_bytes=asked.max_bytes, max_seconds=asked.max_seconds, max_files=asked.max_files
        )
        capture = self._begin(FileSink(Path(asked.path), rotation, now=self._loop.now), options)
        self._number += 1
        record = model.CaptureRecord(id=str(self._number), path=asked.path, filter=asked.filter)
        self._files[record.id] = record, capture
        return record

    def to_client(self, asked: model.CaptureStream, wake: Callable[[], None]) -> Pulled:
        """Begin one whose pieces are pulled."""
        sink = PullSink(wake)
        capture = self._begin(sink, _options(asked))
        return Pulled(sink, lambda: self._end(capture))

    def stop(self, number: str) -> None:
        """End one to a file.

        Raises:
            NotFoundError: there is none of that number.
        """
        found = self._files.pop(number, None)
        if found is None:
            raise NotFoundError(
                f"there is no capture {number}", hint="sampan net capture --ls lists them"
            )
        self._end(found[1])

    def close(self) -> None:
        """End them all."""
        for capture in tuple(self._captures):
            self._end(capture)
        self._files.clear()

    def _begin(self, sink: Sink, options: Options) -> Capture:
        try:
            capture = Capture(sink, options, self._wall_ns)
            self._sweep()
            if len(self._captures) >= MAX_CAPTURES:
                raise UsageError(
                    f"{MAX_CAPTURES} captures run already",
                    hint="end one: sampan net capture --stop ID",
                )
        except BaseException:
            sink.close()
            raise
        for address, names in self._names():
            capture.learn(address, names)
        capture.flush()  # the heads, so that a reader sees at once that it works
        self._captures.add(capture)
        self._assembly.engine.watch_frames(capture.seen)
        if self._forget is None:
            self._forget = self._assembly.events.follow(self._happened)
        self._flush_later()
        return capture

    def _end(self, capture: Capture) -> None:
        if capture not in self._captures:
            return
        self._captures.discard(capture)
        self._assembly.engine.unwatch_frames(capture.seen)
        capture.close()
        if not self._captures and self._forget is not None:
            self._forget()
            self._forget = None

    def _sweep(self) -> None:
        """Forget those that ended by themselves: their disk is full."""
        for number, (_, capture) in list(self._files.items()):
            if capture.is_over:
                del self._files[number]
                self._end(capture)

    def _flush_later(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_at(self._loop.now() + FLUSH_S, self._flush)

    def _flush(self) -> None:
        self._timer = None
        for capture in self._captures:
            capture.flush()
        if self._captures:
            self._flush_later()

    def _happened(self, entry: Entry) -> None:
        """A flow began: its machine knows the other end by a name, perhaps."""
        if isinstance(entry.data, FlowRecord):
            for capture in self._captures:
                capture.learn(parse_ip(entry.data.peer), entry.data.names)

    def _names(self) -> Iterator[tuple[bytes, tuple[str, ...]]]:
        assembly = self._assembly
        for lease in assembly.dhcp.leases(self._loop.now()):
            if lease.name:
                yield parse_ip(lease.address), (lease.name,)
        for flow in assembly.flow_table.records():
            if flow.names:
                yield parse_ip(flow.peer), flow.names

    def _wall_ns(self) -> int:
        return int(self._assembly.clock.wall_s() * 1e9)


class Pulled:
    """A capture for a client: see `message.Source`."""

    def __init__(self, sink: PullSink, end: Callable[[], None]) -> None:
        self._sink = sink
        self._end = end

    @property
    def ended(self) -> bool:
        """Whether nothing will come any more."""
        return self._sink.ended

    def pull(self) -> bytes:
        """What there is."""
        return self._sink.pull()

    def close(self) -> None:
        """Nobody wants more."""
        self._end()


def _options(asked: model.CaptureAsked | model.CaptureStream) -> Options:
    return Options(filter=asked.filter, snap_length=asked.snap_length)
