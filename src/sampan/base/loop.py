"""A loop in a thread: descriptors, timers, and calls from other threads.

For what wakes up so often that asyncio's own share of each time would count: networks, and
devices of machines. A turn: wait until something is ready or a time has come, call whoever waits
for it, then let the `Turn`, if there is one, settle what all of that brought about.
Level-triggered: who leaves data behind is called again.

A callback that raises costs its own descriptor, timer or call, never the loop: the error is
logged with its traceback, and the descriptor is no longer watched.

It may not know what it turns for.
"""

from __future__ import annotations

import heapq
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Protocol, TypeVar

from sampan.base import log
from sampan.base.poller import READ, Poller, new_poller
from sampan.base.vigil import Vigil
from sampan.errors import SampanError

_log = log.get(__name__)
_Result = TypeVar("_Result")
_AFTER_FAULT_S = 0.1  # until what failed is tried again, if nothing else happens
_THREADS = 4  # for what cannot be done without blocking: names, mostly


class LoopClosedError(SampanError):
    """Something was asked of a loop that has been closed, or of what it turned for."""


class Turn(Protocol):
    """What has timers of its own and something to settle after each turn."""

    def next_timer(self) -> float:
        """When `timer_fired` is wanted, at the latest."""

    def timer_fired(self, now: float) -> None:
        """The time has come."""

    def settle(self, now: float) -> None:
        """All that was ready has been handled."""


class Timer:
    """A call at a time; may be cancelled."""

    __slots__ = ("callback", "when")

    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when = when
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Forget it. Nothing happens if it was called already."""
        self.callback = None


class Loop:
    """One thread's loop. All methods but `submit` and `stop` belong to that thread.

    `name` is what it is the loop of, for messages: "network".
    Without `is_wakeful` it sleeps as soon as there is nothing to do; see `base.vigil`.
    """

    def __init__(
        self, poller: Poller | None = None, *, name: str = "loop", is_wakeful: bool = True
    ) -> None:
        self._name = name
        self.now: Callable[[], float] = time.monotonic
        self.turn: Turn | None = None
        self._poller = poller or new_poller()
        self._vigil = Vigil(is_wakeful=is_wakeful)
        self._callbacks: dict[int, Callable[[int], None]] = {}
        self._asleep: set[int] = set()  # watched for nothing: not even a hang-up wakes them
        self._gone: set[int] = set()  # unwatched in this turn: what its poll said is stale
        self._timers: list[tuple[float, int, Timer]] = []
        self._serial = 0
        self._soon: deque[Callable[[], None]] = deque()
        self._turn_due = 0.0  # when the turn wants its timer, as it said last
        self._stopping = False
        self._closed = False
        self._lock = threading.Lock()  # of `_closed` and of appending to `_soon` from elsewhere
        self._executor: ThreadPoolExecutor | None = None
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self.watch(self._wake_read, READ, self._woken)

    # Descriptors

    def watch(self, fd: int, events: int, callback: Callable[[int], None]) -> None:
        """Call `callback(events)` whenever `fd` is ready for one of `events` (or is broken)."""
        if events:
            self._poller.register(fd, events)
        else:
            self._asleep.add(fd)
        self._callbacks[fd] = callback

    def change(self, fd: int, events: int) -> None:
        """Watch for other events; for 0, nothing at all is told."""
        if not events:
            if fd not in self._asleep:
                self._poller.unregister(fd)
                self._asleep.add(fd)
        elif fd in self._asleep:
            self._asleep.discard(fd)
            self._poller.register(fd, events)
        else:
            self._poller.modify(fd, events)

    def unwatch(self, fd: int) -> None:
        """Watch it no more; before it is closed. Nothing happens if it is not watched."""
        if self._callbacks.pop(fd, None) is None:
            return
        self._gone.add(fd)
        if fd in self._asleep:
            self._asleep.discard(fd)
        else:
            self._poller.unregister(fd)

    # Calls

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call when `now()` has reached `when`."""
        timer = Timer(when, callback)
        self._serial += 1
        heapq.heappush(self._timers, (when, self._serial, timer))
        return timer

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call at the end of this turn."""
        self._soon.append(callback)

    def submit(self, work: Callable[[], _Result]) -> Future[_Result]:
        """Do something in the loop's thread; from any thread.

        Raises:
            LoopClosedError: the loop has ended.
        """
        future: Future[_Result] = Future()

        def perform() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001  whoever waits gets it
                future.set_exception(error)

        with self._lock:
            if self._closed:
                raise LoopClosedError(f"the {self._name} has been closed")
            self._soon.append(perform)
            self._wake()
        return future

    def in_thread(
        self, work: Callable[[], _Result], then: Callable[[Future[_Result]], None]
    ) -> None:
        """Do what blocks in another thread, and call `then` with its outcome in this one."""
        if self._executor is None:
            self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix=f"sampan-{self._name}")

        def hand_back(done: Future[_Result]) -> None:
            with suppress(LoopClosedError):
                self.submit(lambda: then(done))

        self._executor.submit(work).add_done_callback(hand_back)

    def stop(self) -> None:
        """End `run` after this turn; from any thread."""
        with self._lock:
            self._stopping = True
            if not self._closed:
                self._wake()

    # The turn

    def run(self) -> None:
        """Turn until `stop`."""
        while not self._stopping:
            self.run_once(self._patience())

    def run_once(self, timeout: float | None) -> None:
        """One turn: wait at most `timeout` seconds (None: until something happens)."""
        callbacks, gone = self._callbacks, self._gone
        if gone:
            gone.clear()
        for fd, events in self._vigil.wait(self._poller.poll, timeout):
            if fd in gone or (callback := callbacks.get(fd)) is None:
                continue
            try:
                callback(events)
            except Exception:  # noqa: BLE001  a fault of ours costs one descriptor
                _log.exception("descriptor %d is given up", fd)
                if callbacks.get(fd) is callback:
                    with suppress(OSError):  # it has been closed
                        self.unwatch(fd)
        now = self.now()
        if self._timers and self._timers[0][0] <= now:
            self._fire(now)
        if self._soon:
            self._call_soon()
        if self.turn is None:
            self._turn_due = math.inf
        else:
            self._settle(self.turn, now)

    def _settle(self, turn: Turn, now: float) -> None:
        try:
            turn.settle(now)
            if (due := turn.next_timer()) <= now:
                turn.timer_fired(now)
                turn.settle(now)
                due = turn.next_timer()
            self._turn_due = due
        except Exception:  # noqa: BLE001  or what was to be done in one turn
            _log.exception("a turn of the %s failed", self._name)
            self._turn_due = now + _AFTER_FAULT_S

    def _patience(self) -> float | None:
        if self._soon or self._stopping:
            return 0.0
        when = self._turn_due
        if self._timers and self._timers[0][0] < when:
            when = self._timers[0][0]
        return None if when == math.inf else max(0.0, when - self.now())

    def _fire(self, now: float) -> None:
        while self._timers and self._timers[0][0] <= now:
            _, _, timer = heapq.heappop(self._timers)
            if timer.callback is not None:
                self._call(timer.callback)

    def _call_soon(self) -> None:
        for _ in range(len(self._soon)):
            self._call(self._soon.popleft())

    def _call(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception:  # noqa: BLE001  or one call
            _log.exception("a call in the loop of the %s failed", self._name)

    def _wake(self) -> None:
        with suppress(BlockingIOError):  # full: it will wake
            os.write(self._wake_write, b"\0")

    def _woken(self, _: int) -> None:
        with suppress(BlockingIOError):
            os.read(self._wake_read, 4096)

    def close(self) -> None:
        """Give everything back; `run` must have returned. What still waits is called."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        while self._soon:
            self._call_soon()
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
        self._callbacks.clear()  # `unwatch` does nothing from now on, so what is left can be closed
        self._poller.close()
        os.close(self._wake_read)
        os.close(self._wake_write)


class Alarm:
    """A call that may be asked for many times before it is made: at the first of those times."""

    __slots__ = ("_callback", "_loop", "_timer", "_when")

    def __init__(self, loop: Loop, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._callback = callback
        self._when = math.inf
        self._timer: Timer | None = None

    def set(self, when: float) -> None:
        """Call when the loop's `now()` has reached `when`, unless it does so before anyway."""
        if when < self._when:
            if self._timer is not None:
                self._timer.cancel()
            self._when = when
            self._timer = self._loop.call_at(when, self._ring)

    def _ring(self) -> None:
        self._when, self._timer = math.inf, None
        self._callback()
