"""Several pieces of slow work at a time; the first failure ends them all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

_T = TypeVar("_T")
PATIENCE_S = 0.8


def in_parallel(
    work: Callable[[_T], object],
    items: Iterable[_T],
    *,
    count: int,
    stop: Callable[[], None],
    patience_s: float = PATIENCE_S,
) -> None:
    """Do `work` for each of `items`, up to `count` at a time, and wait for all.

    When one fails, or the user interrupts, `stop` is called, which has to make those that are
    under way fail soon; then the first failure is raised. What does not end within
    `patience_s` seconds (a server that is silent) is left behind, in threads that do not keep
    the process from ending.
    """
    crew = _Crew(work, items, count)
    try:
        crew.wait()
    except BaseException:
        stop()
        crew.leave(patience_s)
        raise


class _Crew(Generic[_T]):
    """Threads that take items until there are none, or somebody has failed."""

    def __init__(self, work: Callable[[_T], object], items: Iterable[_T], count: int) -> None:
        self._work = work
        self._items: SimpleQueue[_T] = SimpleQueue()
        for item in items:
            self._items.put(item)
        self._total = self._items.qsize()
        self._done: SimpleQueue[BaseException | None] = SimpleQueue()
        self._left = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, name=f"sampan-crew-{number}", daemon=True)
            for number in range(max(1, min(count, self._total)))
        ]
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        """Until all is done; raises the first failure."""
        for _ in range(self._total):
            error = self._done.get()
            if error is not None:
                raise error
        for thread in self._threads:
            thread.join()

    def leave(self, patience_s: float) -> None:
        """Begin nothing more, and give what is under way `patience_s` seconds to end."""
        self._left.set()
        deadline_s = time.monotonic() + patience_s
        for thread in self._threads:
            thread.join(max(0.0, deadline_s - time.monotonic()))

    def _run(self) -> None:
        while not self._left.is_set():
            try:
                item = self._items.get_nowait()
            except Empty:
                return
            try:
                self._work(item)
            except BaseException as error:  # noqa: BLE001  raised where the work is waited for
                self._left.set()
                self._done.put(error)
            else:
                self._done.put(None)
