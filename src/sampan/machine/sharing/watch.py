"""What the host does to a shared folder, told to those who watch it in the guest.

Virtiofs does not tell a guest what happens on the host, so that watchers there (inotify) hear
nothing. Here the folder is watched (by the library watchdog, which follows no links), and
the guest's agent sets the time of modification of what has changed to what it is: watchers hear
a modification, and the file is as before.

Two things must not happen. The guest may still have old attributes of the file, and would set
an old time: so a change is told only when the guest has forgotten those, after a second. And the agent's doing is itself a change on the host: so what looks as it did when it
was told last is not told again.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TypeAlias

from sampan.base import log
from sampan.errors import ToolMissingError
from sampan.machine.agent.client import Agent
from sampan.machine.device import Share
from sampan.machine.error import MachineError

_log = log.get(__name__)
QUIET_S = 1.1  # virtiofsd lets guests keep attributes for a second
LONGEST_S = 5.0  # a file that is written without a pause is told of all the same
PENDING = 1000  # paths; of more, only that the folder has changed
REMEMBERED = 10_000  # paths whose looks are known
BATCH = 64  # paths in one call

Look: TypeAlias = tuple[int, int, int, int]
"""What a change of a file changes, and telling of it does not."""


def look(path: str) -> Look | None:
    """The inode, mode, size and time of modification of `path`; None if it is gone."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns


class Changes:
    """The changes of one share that are not told yet. Pure but for `look`; time is given."""

    def __init__(self, share: Share, look: Callable[[str], Look | None] = look) -> None:
        self._source = str(share.source)
        self._target = share.target
        self._look = look
        self._pending: dict[str, tuple[float, float]] = {}  # path → when first and last changed
        self._told: dict[str, Look] = {}

    def noted(self, path: str, now: float) -> None:
        """Something happened to `path`, of the host."""
        if path not in self._pending and len(self._pending) >= PENDING:
            path = self._source
        first, _ = self._pending.get(path, (now, now))
        self._pending[path] = (first, now)

    def next_s(self, now: float) -> float | None:
        """In how many seconds something is due; None if nothing is pending."""
        times = [self._due(first, last) for first, last in self._pending.values()]
        return max(0.0, min(times) - now) if times else None

    def take(self, now: float) -> list[str]:
        """The paths, of the guest, that are to be told now."""
        due = [path for path, times in self._pending.items() if self._due(*times) <= now]
        for path in due:
            del self._pending[path]
        return [self._in_guest(path) for path in due if self._is_news(path)]

    def _due(self, first: float, last: float) -> float:
        return min(last + QUIET_S, first + LONGEST_S)

    def _is_news(self, path: str) -> bool:
        seen, before = self._look(path), self._told.pop(path, None)
        if seen is not None:
            self._told[path] = seen
            if len(self._told) > REMEMBERED:
                del self._told[next(iter(self._told))]
        return seen is None or seen != before

    def _in_guest(self, path: str) -> str:
        rest = os.path.relpath(path, self._source)
        return self._target if rest == "." else f"{self._target}/{rest}"


class Teller:
    """Tells a guest of the changes of one share, from `start` to `close`."""

    def __init__(self, share: Share, agent: Agent) -> None:
        self.share = share
        self._agent = agent
        self._changes = Changes(share)
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self._stop: Callable[[], None] = lambda: None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Watch the folder, and tell.

        Raises:
            ToolMissingError: the library watchdog is not installed.
            MachineError: the folder cannot be watched.
        """
        self._stop = await asyncio.to_thread(watch, str(self.share.source), self.noted)
        self._task = self._loop.create_task(self._run(), name=f"events of {self.share.tag}")

    async def close(self) -> None:
        """Watch no more; what is not told yet is forgotten."""
        await asyncio.to_thread(self._stop)
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def noted(self, path: str) -> None:
        """Take note that `path`, of the host, has changed; from any thread."""
        with self._lock:
            was_idle = self._changes.next_s(0.0) is None
            self._changes.noted(path, self._loop.time())
        if was_idle:
            with suppress(RuntimeError):  # the loop is closed: the machine has ended
                self._loop.call_soon_threadsafe(self._woken.set)

    async def _run(self) -> None:
        while True:
            with self._lock:
                wait_s = self._changes.next_s(self._loop.time())
            if wait_s is None:
                await self._woken.wait()
                self._woken.clear()
                continue
            await asyncio.sleep(wait_s)
            with self._lock:
                paths = self._changes.take(self._loop.time())
            for start in range(0, len(paths), BATCH):
                await self._tell(paths[start : start + BATCH])

    async def _tell(self, paths: Sequence[str]) -> None:
        sayable = [path for path in paths if path.isprintable()]  # others are not JSON
        try:
            await self._agent.replay(sayable)
        except MachineError as error:
            _log.warning("changes of %s are not told to the guest: %s", self.share.source, error)


@asynccontextmanager
async def telling(shares: Iterable[Share], agent: Agent) -> AsyncIterator[None]:
    """Tell a guest of the changes of those shares that want it, for the length of the block.

    Raises:
        ToolMissingError, MachineError: as `Teller.start`.
    """
    async with AsyncExitStack() as stack:
        for share in shares:
            if share.events:
                teller = Teller(share, agent)
                stack.push_async_callback(teller.close)
                await teller.start()
        yield


def watch(folder: str, noted: Callable[[str], None]) -> Callable[[], None]:
    """Call `noted` with each path below `folder` that changes; returns what ends that.

    Calls come from another thread. Links are not followed.

    Raises:
        ToolMissingError: the library watchdog is not installed.
        MachineError: the folder cannot be watched.
    """
    try:
        from watchdog import events
        from watchdog.observers import Observer
    except ImportError:
        raise ToolMissingError(
            "file events need the library watchdog", hint="pip install 'sampan[share]'"
        ) from None

    class Handler(events.FileSystemEventHandler):
        def on_any_event(self, event: events.FileSystemEvent) -> None:
            noted(os.fsdecode(event.src_path))
            if event.dest_path:
                noted(os.fsdecode(event.dest_path))

    observer = Observer()
    kinds: list[type[events.FileSystemEvent]] = [
        events.FileCreatedEvent, events.FileModifiedEvent, events.FileDeletedEvent,
        events.FileMovedEvent, events.FileAttribEvent, events.DirCreatedEvent,
        events.DirDeletedEvent, events.DirMovedEvent,
    ]  # fmt: skip
    try:
        observer.schedule(Handler(), folder, recursive=True, event_filter=kinds)
        observer.start()
    except OSError as error:
        raise MachineError(
            f"cannot watch {folder}: {error.strerror or error}",
            hint="a folder costs one of fs.inotify.max_user_watches: share a smaller one",
        ) from error

    def stop() -> None:
        observer.stop()
        observer.join()

    return stop
