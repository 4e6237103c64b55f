"""The state of a QEMU machine as a stream: written out, taken in, and sent to another process.

QEMU calls all three a migration, and tells how it goes by events. It writes to a Unix socket
from which the bytes are taken here, because only so they can be counted, and a full disk be
told from a QEMU that failed. A machine is saved while it is paused, so that every page is
written once; one that is sent goes on meanwhile, and stops for the last pages only.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Protocol

from sampan.base.progress import Task
from sampan.machine import qmp
from sampan.machine.driver import Sink
from sampan.machine.error import MachineEndedError, MachineError, MachineTimeoutError

_UNLIMITED = 1 << 40  # bytes a second
_CHUNK = 1 << 20
UNPLUG_S = 15.0
_DONE = ("completed", "failed", "cancelled")


class StateError(MachineError):
    """The state of a machine could not be saved, taken in or moved."""


class Process(Protocol):
    """What is needed of a QEMU."""

    def listen(self, listener: Callable[[qmp.Notice], None]) -> None:
        """See `Hypervisor.listen`."""

    async def execute(
        self, command: str, arguments: Mapping[str, qmp.Json] | None = None
    ) -> qmp.Json:
        """See `Hypervisor.execute`."""


class Migration:
    """One migration of one process, as its events tell it."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        process.listen(self._noticed)

    async def prepare(self) -> None:
        """Ask for the events, and for all the speed there is."""
        events: qmp.Json = [{"capability": "events", "state": True}]
        await self._process.execute("migrate-set-capabilities", {"capabilities": events})
        await self._process.execute("migrate-set-parameters", {"max-bandwidth": _UNLIMITED})

    async def completed(self) -> None:
        """Wait for its end.

        Raises:
            StateError: it failed, and why.
        """
        outcome = await asyncio.shield(self._outcome)
        if outcome != "completed":
            told = await self._process.execute("query-migrate")
            why = told.get("error-desc", "") if isinstance(told, dict) else ""
            raise StateError(f"QEMU could not move the machine's state: {why or outcome}")

    async def cancel(self) -> None:
        """Give it up; the process goes on as it was."""
        with suppress(MachineError):
            await self._process.execute("migrate_cancel")
            await asyncio.shield(self._outcome)

    def _noticed(self, notice: qmp.Notice) -> None:
        status = str(notice.data.get("status", ""))
        if notice.name == "MIGRATION" and status in _DONE and not self._outcome.done():
            self._outcome.set_result(status)


async def save(process: Process, path: Path, state: Sink, task: Task) -> None:
    """Write the state of a paused machine to `state`; `path` is for a socket, and free.

    Raises:
        StateError: QEMU failed; the machine is as before.
        CommandError: it refused: something of the machine cannot be saved.
        OSError: `state` cannot be written.
    """
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        listener.setblocking(False)
        try:
            async with _migrating(process, f"unix:{path}") as migration:
                connection, _ = await loop.sock_accept(listener)
                with connection:
                    connection.setblocking(True)
                    await _pour(connection, state, task)
                await migration.completed()
        finally:
            _remove(path)


async def unplug(process: Process, device: str) -> None:
    """Take a device out of a running machine; its guest has to let go of it.

    Raises:
        MachineTimeoutError: it does not.
    """
    gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def noticed(notice: qmp.Notice) -> None:
        is_it = notice.name == "DEVICE_DELETED" and notice.data.get("device") == device
        if is_it and not gone.done():
            gone.set_result(None)

    process.listen(noticed)
    await process.execute("device_del", {"id": device})
    try:
        async with asyncio.timeout(UNPLUG_S):
            await gone
    except TimeoutError:
        raise MachineTimeoutError(
            f"the guest has not let go of its device {device} within {UNPLUG_S:g} s",
            hint="it cannot before it has booted, or without support for hot-plugging",
        ) from None


async def load(process: Process, source: str) -> None:
    """Take the state from `source`, in QEMU's words; the process was started to wait for it.

    Raises:
        StateError: it is no such state, or one of another machine.
        MachineEndedError: QEMU ended over it; its messages say why.
    """
    migration = Migration(process)
    await migration.prepare()
    await process.execute("migrate-incoming", {"uri": source})
    await _unless_ended(process, migration)


async def send(source: Process, target: Process, path: Path) -> None:
    """Move a running machine from one process to the other, by a socket at `path`, which is free.

    Raises:
        StateError: it failed; the machine runs where it was.
    """
    arriving = Migration(target)
    await arriving.prepare()
    try:
        await target.execute("migrate-incoming", {"uri": f"unix:{path}"})
        async with _migrating(source, f"unix:{path}") as migration:
            await migration.completed()
        await _unless_ended(target, arriving)
    finally:
        _remove(path)


@asynccontextmanager
async def _migrating(process: Process, target: str) -> AsyncIterator[Migration]:
    """A migration that has begun; it is given up if the block raises."""
    migration = Migration(process)
    await migration.prepare()
    await process.execute("migrate", {"uri": target})
    try:
        yield migration
    except BaseException:
        await migration.cancel()
        raise


async def _unless_ended(process: Process, migration: Migration) -> None:
    """Wait for the migration's end, or for that of its process, which tells no event then."""
    waiting = asyncio.get_running_loop().create_task(migration.completed(), name="migration")
    try:
        while not waiting.done():
            await process.execute("query-status")  # raises once QEMU is gone
            await asyncio.wait((waiting,), timeout=0.2)
        await waiting
    finally:
        waiting.cancel()
        with suppress(asyncio.CancelledError, StateError, MachineEndedError):
            await waiting


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


async def _pour(connection: socket.socket, state: Sink, task: Task) -> None:
    """All that comes by `connection`, until its end; when cancelled, the connection is closed."""

    def pour() -> None:
        buffer = bytearray(_CHUNK)
        view = memoryview(buffer)
        while count := connection.recv_into(buffer):
            state.write(view[:count])
            task.advance(count)

    pouring = asyncio.get_running_loop().run_in_executor(None, pour)
    try:
        await asyncio.shield(pouring)
    except asyncio.CancelledError:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        await asyncio.wait((pouring,))
        raise
