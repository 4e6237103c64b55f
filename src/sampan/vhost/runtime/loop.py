"""A loop of its own for devices that have no other: descriptors, one timer, calls from outside.

One thread, made by `LoopThread`, waits for descriptors and calls whoever watches them. A callback
that raises costs its descriptor, never the loop.
"""

from __future__ import annotations

import math
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

from sampan.base import log
from sampan.base.vigil import Vigil
from sampan.vhost.runtime.backend import READ

_log = log.get(__name__)
_Result = TypeVar("_Result")
WRITE, HANGUP, CLOSED = select.EPOLLOUT, select.EPOLLHUP | select.EPOLLERR, select.EPOLLRDHUP
EDGE = select.EPOLLET  # told once for each change, not as long as it is so


class EpollLoop:
    """See `backend.Loop`; all methods but `submit` and `stop` belong to the thread that runs it.

    Without `is_wakeful` it sleeps as soon as there is nothing to do; see `base.vigil`.
    """

    def __init__(self, *, is_wakeful: bool = True) -> None:
        self.now: Callable[[], float] = time.monotonic
        self.timer: Callable[[], None] | None = None  # called at `due`, or a little later
        self.due = math.inf
        self._poll = select.epoll()
        self._vigil = Vigil(is_wakeful=is_wakeful)
        self._callbacks: dict[int, Callable[[int], None]] = {}
        self._soon: deque[Callable[[], None]] = deque()
        self._lock = threading.Lock()
        self._is_stopping = self._is_closed = False
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.watch(self._wake, READ, self._woken)

    def watch(self, fd: int, events: int, callback: Callable[[int], None]) -> None:
        """See `backend.Loop.watch`; with `EDGE` in `events`, once for each change."""
        self._poll.register(fd, events)
        self._callbacks[fd] = callback

    def change(self, fd: int, events: int) -> None:
        """Watch for other events."""
        self._poll.modify(fd, events)

    def unwatch(self, fd: int) -> None:
        """See `backend.Loop.unwatch`. Nothing happens if it is not watched."""
        if self._callbacks.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def call_soon(self, callback: Callable[[], None]) -> None:
        """See `backend.Loop.call_soon`: at the end of this turn."""
        self._soon.append(callback)

    def submit(self, work: Callable[[], _Result]) -> Future[_Result]:
        """Do something in the loop's thread; from any thread. Cancelled once it is closed."""
        future: Future[_Result] = Future()

        def perform() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001  whoever waits gets it
                future.set_exception(error)

        with self._lock:
            if self._is_closed:
                future.cancel()
                return future
            self._soon.append(perform)
            os.eventfd_write(self._wake, 1)
        return future

    def stop(self) -> None:
        """End `run` after this turn; from any thread."""
        with self._lock:
            self._is_stopping = True
            if not self._is_closed:
                os.eventfd_write(self._wake, 1)

    def run(self) -> None:
        """Turn until `stop`."""
        while not self._is_stopping:
            patience = 0.0 if self._soon else self.due - self.now()
            self.turn(None if patience == math.inf else max(0.0, patience))

    def turn(self, timeout: float | None) -> None:
        """Wait at most `timeout` seconds (None: until something happens), and handle it."""
        self._handle(self._vigil.wait(self._poll.poll, timeout))

    def _handle(self, ready: list[tuple[int, int]]) -> None:
        callbacks = self._callbacks
        for fd, events in ready:
            callback = callbacks.get(fd)  # gone, if it was unwatched in this turn
            if callback is None:
                continue
            try:
                callback(events)
            except Exception:  # noqa: BLE001  a fault of ours costs one descriptor
                _log.exception("descriptor %d is given up", fd)
                with suppress(OSError):
                    self.unwatch(fd)
        if self.due <= self.now() and self.timer is not None:
            self._call(self.timer)
        for _ in range(len(self._soon)):
            self._call(self._soon.popleft())

    def _woken(self, _: int) -> None:
        os.eventfd_read(self._wake)

    @staticmethod
    def _call(callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception:  # noqa: BLE001  or one call
            _log.exception("a call in the loop of a device failed")

    def close(self) -> None:
        """Give everything back; `run` must have returned. What still waits is called."""
        with self._lock:
            self._is_closed = True
        while self._soon:
            self._call(self._soon.popleft())
        self._poll.close()
        os.close(self._wake)


class LoopThread:
    """A thread that runs an `EpollLoop` until it is closed."""

    def __init__(self, name: str, *, is_wakeful: bool = True) -> None:
        self.loop = EpollLoop(is_wakeful=is_wakeful)
        self._thread = threading.Thread(target=self.loop.run, name=name, daemon=True)
        self._thread.start()

    def call(self, work: Callable[[], _Result]) -> _Result:
        """Do something in the thread, and wait for it."""
        return self.loop.submit(work).result()

    def close(self) -> None:
        """End the thread; whatever its loop watched is to have been closed before."""
        self.loop.stop()
        self._thread.join()
        self.loop.close()
