"""What people see: progress and tables, with bars on a terminal and plain lines elsewhere.

The only module that uses rich, and only on a terminal; without rich (the `tty` extra) a
terminal gets plain lines too.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from sampan.base.progress import SILENT, Progress, Task
from sampan.base.units import format_size

if TYPE_CHECKING:
    import rich.progress

_LONG_WORK_BYTES = 64 << 20  # plain output says when this much more is done


def progress(stream: TextIO, *, quiet: bool) -> Progress:
    """The implementation of progress that suits `stream`."""
    if quiet:
        return SILENT
    if stream.isatty():
        try:
            return Bars(stream)
        except ImportError:  # the tty extra is not installed
            return Lines(stream)
    return Lines(stream)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of text, as wide as their widest cell, with one line of headings.

    What cannot be printed, such as a terminal's control characters, is shown as `?`: some of it
    comes from machines.
    """
    everything = [[_printable(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[column]) for row in everything) for column in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in everything
    ]
    return "\n".join(lines) + "\n"


def _printable(cell: str) -> str:
    return cell if cell.isprintable() else "".join(c if c.isprintable() else "?" for c in cell)


def live(draw: Callable[[int], str], *, interval_s: float) -> None:
    """Show what `draw(lines)` says on the whole terminal, again and again until Ctrl-C.

    Once, and below what is there, without rich.
    """
    try:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text
    except ImportError:  # the tty extra is not installed
        sys.stdout.write(draw(shutil.get_terminal_size().lines))
        return
    console = Console()
    with (
        suppress(KeyboardInterrupt),
        Live(console=console, screen=True, auto_refresh=False) as shown,
    ):
        while True:
            text = Text(draw(console.height), no_wrap=True, overflow="ellipsis")
            shown.update(text, refresh=True)
            time.sleep(interval_s)


class _PlainTask:
    def __init__(self, owner: Lines, label: str, total: int | None) -> None:
        self.label = label
        self._owner = owner
        self._total = total
        self._done = 0
        self._said = 0
        self.timer = threading.Timer(owner.patience_s, owner.note, [label])
        self.timer.daemon = True

    def advance(self, amount: int) -> None:
        """Count, and say so now and then, so that a log shows that something moves."""
        self._done += amount
        if self._done - self._said >= _LONG_WORK_BYTES:
            self._said = self._done
            of = f" of {format_size(self._total)}" if self._total else ""
            self._owner.note(f"{self.label}: {format_size(self._done)}{of}")


class Lines:
    """Progress as plain lines: work that takes longer than `patience_s`, and what fails."""

    def __init__(self, stream: TextIO, *, patience_s: float = 1.0) -> None:
        self.patience_s = patience_s
        self._stream = stream
        self._lock = threading.Lock()

    def start(self, label: str, total: int | None) -> Task:
        """See `sampan.base.progress.Progress.start`."""
        task = _PlainTask(self, label, total)
        task.timer.start()
        return task

    def finish(self, task: Task, *, failed: bool) -> None:
        """See `sampan.base.progress.Progress.finish`."""
        assert isinstance(task, _PlainTask)
        task.timer.cancel()
        if failed:
            self.note(f"{task.label}: failed")

    def note(self, message: str) -> None:
        """See `sampan.base.progress.Progress.note`."""
        with self._lock:
            self._stream.write(f"{message}\n")
            self._stream.flush()


class _BarTask:
    def __init__(self, bars: rich.progress.Progress, label: str, total: int | None) -> None:
        self.label = label
        self._bars = bars
        self.number = bars.add_task(label, total=total)

    def advance(self, amount: int) -> None:
        """Move the bar."""
        self._bars.advance(self.number, amount)


class Bars:
    """Progress as bars on a terminal; a bar goes away when its work is done."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn

        self._console = Console(file=stream, highlight=False, soft_wrap=True)
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            DownloadColumn(binary_units=True),
            console=self._console,
            transient=True,
        )
        self._lock = threading.Lock()
        self._running = 0

    def start(self, label: str, total: int | None) -> Task:
        """See `sampan.base.progress.Progress.start`."""
        with self._lock:
            self._running += 1
            if self._running == 1:
                self._bars.start()
        return _BarTask(self._bars, label, total)

    def finish(self, task: Task, *, failed: bool) -> None:
        """See `sampan.base.progress.Progress.finish`."""
        assert isinstance(task, _BarTask)
        self._bars.remove_task(task.number)
        if failed:
            self.note(f"{task.label}: failed")
        with self._lock:
            self._running -= 1
            if self._running == 0:
                self._bars.stop()

    def note(self, message: str) -> None:
        """See `sampan.base.progress.Progress.note`."""
        self._console.print(message, markup=False)
