"""Progress as an interface: long work reports, somebody else decides how it looks.

The command line has a human implementation (bars on a terminal, lines elsewhere) and a
machine one (JSON lines); library users may pass their own, or none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Task(Protocol):
    """One piece of long work that is under way."""

    def advance(self, amount: int) -> None:
        """`amount` more units (bytes, unless the task said otherwise) are done."""


class Progress(Protocol):
    """Where long work reports. Methods may be called from several threads."""

    def start(self, label: str, total: int | None) -> Task:
        """A new piece of work of `total` units (None: unknown) begins."""

    def finish(self, task: Task, *, failed: bool) -> None:
        """That piece of work ended."""

    def note(self, message: str) -> None:
        """A line worth telling the user now."""


class _SilentTask:
    def advance(self, amount: int) -> None:
        """Nobody watches."""


class Silent:
    """Reports to nobody."""

    def start(self, label: str, total: int | None) -> Task:
        """See `Progress.start`."""
        return _SilentTask()

    def finish(self, task: Task, *, failed: bool) -> None:
        """See `Progress.finish`."""

    def note(self, message: str) -> None:
        """See `Progress.note`."""


SILENT: Progress = Silent()


class Prefixed:
    """Reports to `inner` with `prefix` in front, so that labels tell whose work it is."""

    def __init__(self, inner: Progress, prefix: str) -> None:
        self._inner = inner
        self._prefix = prefix

    def start(self, label: str, total: int | None) -> Task:
        """See `Progress.start`."""
        return self._inner.start(self._prefix + label, total)

    def finish(self, task: Task, *, failed: bool) -> None:
        """See `Progress.finish`."""
        self._inner.finish(task, failed=failed)

    def note(self, message: str) -> None:
        """See `Progress.note`."""
        self._inner.note(self._prefix + message)


@contextmanager
def task(progress: Progress, label: str, total: int | None = None) -> Iterator[Task]:
    """A block of long work; it is reported as failed when the block raises."""
    started = progress.start(label, total)
    try:
        yield started
    except BaseException:
        progress.finish(started, failed=True)
        raise
    progress.finish(started, failed=False)
