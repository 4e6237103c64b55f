"""The place of the process that runs a machine, where another one may take over.

To everybody else it is the machine's hypervisor: who listens to it, waits for its end or gives
it commands does not notice that a machine went back to a snapshot, or moved to another process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from sampan.machine import qmp
from sampan.machine.driver import Hypervisor
from sampan.machine.error import MachineEndedError
from sampan.machine.forward import Forward
from sampan.machine.model import End


class Seat:
    """See `driver.Hypervisor`. `occupant` is the process that runs the machine now."""

    def __init__(self, first: Hypervisor) -> None:
        self.occupant = first
        self._listeners: list[Callable[[qmp.Notice], None]] = []
        self._change: asyncio.Future[None] | None = None
        self._killed = False
        self._end: End | None = None
        self._hear(first)

    @property
    def pid(self) -> int:
        """See `Hypervisor.pid`."""
        return self.occupant.pid

    @property
    def argv(self) -> tuple[str, ...]:
        """See `Hypervisor.argv`."""
        return self.occupant.argv

    @property
    def is_ended(self) -> bool:
        """Whether the machine was ended on purpose."""
        return self._killed

    def listen(self, listener: Callable[[qmp.Notice], None]) -> None:
        """See `Hypervisor.listen`; it hears whoever runs the machine."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """See `Hypervisor.run`."""
        await self.occupant.run()

    async def pause(self) -> None:
        """See `Hypervisor.pause`."""
        await self.occupant.pause()

    async def power_button(self) -> None:
        """See `Hypervisor.power_button`."""
        await self.occupant.power_button()

    async def forwards(self, wanted: tuple[Forward, ...]) -> tuple[Forward, ...]:
        """See `Hypervisor.forwards`."""
        return await self.occupant.forwards(wanted)

    async def expose(self, forward: Forward) -> Forward:
        """See `Hypervisor.expose`."""
        return await self.occupant.expose(forward)

    async def unexpose(self, forward: Forward) -> None:
        """See `Hypervisor.unexpose`."""
        await self.occupant.unexpose(forward)

    async def execute(
        self, command: str, arguments: Mapping[str, qmp.Json] | None = None
    ) -> qmp.Json:
        """See `Hypervisor.execute`."""
        return await self.occupant.execute(command, arguments)

    def panicked(self, detail: str) -> None:
        """See `Hypervisor.panicked`."""
        self.occupant.panicked(detail)

    async def kill(self, end: End | None = None) -> End:
        """See `Hypervisor.kill`; nobody takes the seat afterwards. `end` is what this is called."""
        self._killed = True
        self._end = self._end or end
        await self.occupant.kill()
        return await self.wait()

    async def wait(self) -> End:
        """See `Hypervisor.wait`; the end of one whom another follows is no end."""
        while True:
            occupant = self.occupant
            end = await occupant.wait()
            if self._change is not None:
                await asyncio.shield(self._change)
            elif occupant is self.occupant:
                return self._end or end

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[None]:
        """While somebody is about to `take` the seat: until the block ends, no end is final.

        Raises:
            MachineEndedError: the machine was ended, or another change is under way.
        """
        if self._killed or self._change is not None:
            raise MachineEndedError("the machine is being ended, or put into another state")
        self._change = asyncio.get_running_loop().create_future()
        try:
            yield
        finally:
            self._change.set_result(None)
            self._change = None

    async def take(self, successor: Hypervisor) -> None:
        """Let `successor` run the machine from now on, and end whoever did before.

        Raises:
            MachineEndedError: the machine was ended meanwhile; `successor` is, too.
        """
        if self._killed:
            await successor.kill()
            raise MachineEndedError("the machine was ended")
        before, self.occupant = self.occupant, successor
        self._hear(successor)
        await before.kill()

    def _hear(self, occupant: Hypervisor) -> None:
        def noticed(notice: qmp.Notice) -> None:
            if occupant is self.occupant:
                for listener in self._listeners:
                    listener(notice)

        occupant.listen(noticed)
