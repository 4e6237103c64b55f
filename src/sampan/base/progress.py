"""Progress as an interface: long work reports, somebody else decides how it looks.

The command line has a human implementation (bars on a terminal, lines elsewhere) and a
machine one (JSON lines); library users may pass their own, or none.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from sampan.errors import SampanError


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
        self.inner = inner
        self._prefix = prefix

    def start(self, label: str, total: int | None) -> Task:
        """See `Progress.start`."""
        return self.inner.start(self._prefix + label, total)

    def finish(self, task: Task, *, failed: bool) -> None:
        """See `Progress.finish`."""
        self.inner.finish(task, failed=failed)

    def note(self, message: str) -> None:
        """See `Progress.note`."""
        self.inner.note(self._prefix + message)


class StoppedError(SampanError):
    """The work was given up, because something that it was for failed or was interrupted."""


class Stoppable:
    """Reports to `inner` until `stop` is called; work that reports after that is ended.

    Threads cannot be interrupted, but those that report can be told when they do.
    """

    def __init__(self, inner: Progress) -> None:
        self._inner = inner
        self._stopped = threading.Event()

    def stop(self) -> None:
        """From now on `start`, `advance` and `note` raise StoppedError; for any thread to call."""
        self._stopped.set()

    def start(self, label: str, total: int | None) -> Task:
        """See `Progress.start`."""
        self.check()
        return _StoppableTask(self, self._inner.start(label, total))

    def finish(self, task: Task, *, failed: bool) -> None:
        """See `Progress.finish`."""
        assert isinstance(task, _StoppableTask)
        self._inner.finish(task.inner, failed=failed)

    def note(self, message: str) -> None:
        """See `Progress.note`."""
        self.check()
        self._inner.note(message)

    def check(self) -> None:
        """Raises StoppedError: `stop` has been called."""
        if self._stopped.is_set():
            raise StoppedError("stopped")


def check(progress: Progress) -> None:
    """For work that waits and has nothing to report.

    Raises:
        StoppedError: whoever `progress` belongs to gave the work up.
    """
    while isinstance(progress, Prefixed):
        progress = progress.inner
    if isinstance(progress, Stoppable):
        progress.check()


class _StoppableTask:
    def __init__(self, owner: Stoppable, inner: Task) -> None:
        self._owner = owner
        self.inner = inner

    def advance(self, amount: int) -> None:
        """See `Task.advance`."""
        self._owner.check()
        self.inner.advance(amount)


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
