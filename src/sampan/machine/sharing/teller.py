"""What the host does to a shared folder, told to those who watch it in the guest.

Virtiofs does not tell a guest what happens on the host, so that watchers there (inotify) hear
nothing. Here the folder is watched (`tree`), and the guest's agent does what was done: makes,
removes and renames the very files, so that its kernel tells the watchers. The server of the share
plays along with that one task (`control`) and changes nothing on the host.

Only changes that the server has said it plays along with are ever given to the agent, and the
server lets that task do nothing else: whatever goes wrong between, no file is touched.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import select
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from sampan.base import log
from sampan.base.agent.change import Change
from sampan.machine.agent.client import Agent
from sampan.machine.agent.link import Link
from sampan.machine.error import MachineError
from sampan.machine.sharing import tree
from sampan.machine.sharing.change import Changes
from sampan.machine.sharing.control import Control
from sampan.machine.sharing.inotify import Inotify
from sampan.machine.sharing.tree import Tree

_log = log.get(__name__)
BATCH = 64  # changes in one call


class Teller:
    """Tells a guest of the changes of a control's share, from `start` to `close`."""

    def __init__(self, control: Control, agent: Agent) -> None:
        self.share = share = control.share
        self._control = control
        self._agent = agent
        self._changes = Changes(lambda path: tree.kind(str(share.source / path)))
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self._wake, self._woke = os.pipe2(os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._watch, name=f"watch {share.tag}", daemon=True)
        self._started: asyncio.Future[None] = self._loop.create_future()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Watch the folder, and tell.

        Raises:
            MachineError: the folder cannot be watched.
        """
        self._thread.start()
        await self._started
        self._task = self._loop.create_task(self._run(), name=f"events of {self.share.tag}")

    async def close(self) -> None:
        """Watch no more; what is not told yet is forgotten."""
        os.close(self._woke)
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join)
        os.close(self._wake)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    def _watch(self) -> None:
        """The thread: hear of changes until the pipe is closed."""
        try:
            with Inotify() as queue:
                watched = Tree(str(self.share.source), queue, self._heard, self._lost)
                watched.start()
                self._loop.call_soon_threadsafe(self._settle, None)
                poll = select.poll()
                poll.register(queue, select.POLLIN)
                poll.register(self._wake, select.POLLHUP)
                while self._wake not in dict(poll.poll()):
                    watched.turn()
        except Exception as error:  # noqa: BLE001  whoever waits for the start gets it
            self._loop.call_soon_threadsafe(self._settle, error)

    def _settle(self, error: Exception | None) -> None:
        """The thread watches, or it does not, or not any more."""
        if self._started.done():
            if error is not None:
                _log.error("changes of %s are not told any more: %s", self.share.source, error)
        elif error is None:
            self._started.set_result(None)
        else:
            self._started.set_exception(error)

    def _heard(self, change: Change) -> None:
        with self._lock:
            was_idle = not self._changes
            self._changes.noted(change, self._loop.time())
        if was_idle:
            self._loop.call_soon_threadsafe(self._woken.set)

    def _lost(self) -> None:
        _log.warning("more happened in %s than could be heard", self.share.source)
        with self._lock:
            self._changes.lost(self._loop.time())
        self._loop.call_soon_threadsafe(self._woken.set)

    async def _run(self) -> None:
        try:
            await self._go_on_telling()
        except Exception:  # noqa: BLE001  a fault of ours costs events, not the machine
            _log.exception("changes of %s are not told any more", self.share.source)

    async def _go_on_telling(self) -> None:
        while True:
            with self._lock:
                due_s = self._changes.due_s() if self._changes else None
                told = []
                if due_s is not None and due_s <= self._loop.time():
                    told = self._changes.take()
            for start in range(0, len(told), BATCH):
                await self._tell(told[start : start + BATCH])
            if due_s is None:
                await self._woken.wait()
                self._woken.clear()
            elif not told:
                await asyncio.sleep(due_s - self._loop.time())

    async def _tell(self, changes: Sequence[Change]) -> None:
        sayable = [each for each in changes if _is_text(each.path) and _is_text(each.to)]
        token = f".sampan-{secrets.token_hex(16)}"
        try:
            await self._agent.ready()  # the server does not play along for ever
            told = await self._control.stage(token, sayable)
            if told:
                await self._agent.replay(self.share.target, token, told)
        except MachineError as error:
            _log.warning("changes of %s are not told to the guest: %s", self.share.source, error)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8: no JSON can say them
        return False
    return True


@asynccontextmanager
async def telling(controls: Mapping[str, Control], link: Link | None) -> AsyncIterator[None]:
    """Tell a guest of the changes of shares, for the length of the block.

    `link` leads to its agent; None: there is none, and no such share.

    Raises:
        MachineError: as `Teller.start`.
    """
    async with AsyncExitStack() as stack:
        if link is not None:
            for control in controls.values():
                teller = Teller(control, Agent(link))
                stack.push_async_callback(teller.close)
                await teller.start()
        yield
