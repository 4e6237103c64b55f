"""Moves a running machine: into a folder, back to what is in one, or into another process.

`lifecycle.VM` has one of these, and offers what it does. In all cases the machine stands still
while it is moved, and goes on if that fails before the point of no return.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace as changed

from sampan.base import log
from sampan.base.clock import SystemClock
from sampan.base.progress import Progress
from sampan.errors import UnsupportedError
from sampan.machine import exposure
from sampan.machine.agent.client import Agent
from sampan.machine.agent.error import AgentError
from sampan.machine.console import Console
from sampan.machine.driver import Capability, Driver, Launch, Movable
from sampan.machine.drivers import qemu_state
from sampan.machine.error import MachineEndedError, MachineTimeoutError
from sampan.machine.forward import Forward
from sampan.machine.model import End, Ending, MachineSpec, Network
from sampan.machine.port import PortError
from sampan.machine.qmp import Notice
from sampan.machine.saving import content, resumption, suspension
from sampan.machine.saving.seat import Seat
from sampan.machine.saving.suspension import Suspension, SuspensionError
from sampan.machine.view.event import (
    ClockStepped,
    Moved,
    PortExposed,
    PortUnexposed,
    Restored,
    Saved,
    State,
)
from sampan.machine.view.journal import Journal

_log = log.get(__name__)


class Machine(Protocol):
    """What is needed of a `lifecycle.VM`."""

    spec: MachineSpec
    console: Console
    forwards: tuple[Forward, ...]
    journal: Journal


@dataclass
class Mover:
    """`spec` and `launch` are what a process that takes over is started with.

    `relink` opens another connection to the network `stream`, for such a process. `on_return` is
    called each time the machine goes on in a state of before; then the guest's clock is set, as
    soon as an agent answers.
    """

    vm: Machine
    seat: Seat
    driver: Driver
    spec: MachineSpec
    launch: Launch
    relink: Callable[[], socket.socket] | None = None
    on_return: Callable[[], None] | None = None

    def __post_init__(self) -> None:
        self._turn = asyncio.Lock()  # one thing at a time
        self._verified: set[str] = set()
        self._setting_clock: asyncio.Task[None] | None = None
        self._had_agent = False  # in the state it came back to

    async def pause(self) -> None:
        """Stop the machine, once it is not being moved."""
        async with self._turn:
            await self._stop()

    async def resume(self) -> None:
        """Let the machine go on, once it is not being moved.

        Raises:
            MachineEndedError: it was ended.
        """
        async with self._turn:
            if self.seat.is_ended:
                raise MachineEndedError("the machine has ended")
            await self._go_on()

    async def expose(self, wanted: Forward) -> Forward:
        """Publish one more port, once the machine is not being moved; see `VM.expose`.

        Raises:
            UnsupportedError: its network or driver cannot, or not on that address.
            UsageError: a port or the address of it is none.
            PortError: the port is taken.
        """
        exposure.check(self.driver, self.spec)
        async with self._turn:
            wanted = exposure.admitted(self.vm.forwards, wanted)
            forward = await self.seat.expose(wanted)
            self.vm.forwards = (*self.vm.forwards, forward)
            self.vm.journal.record(PortExposed(forward=forward))
        return forward

    async def unexpose(self, meant: Forward) -> Forward:
        """Publish a port no more, once the machine is not being moved; see `VM.unexpose`.

        Raises:
            UnsupportedError: as `expose`.
            PortError: nothing is published there.
        """
        exposure.check(self.driver, self.spec)
        async with self._turn:
            forward = exposure.found(self.vm.forwards, meant)
            await self.seat.unexpose(forward)
            self._forget(forward)
        return forward

    async def suspend(
        self, folder: Path, progress: Progress | None,
        on_saved: Callable[[Suspension], None] | None = None,
    ) -> Suspension:  # fmt: skip
        """Save the machine to `folder` and end it.

        Raises:
            UnsupportedError: the driver cannot, or the machine has what cannot be saved.
            SuspensionError: the folder cannot be written; the machine goes on.
            MachineError: the hypervisor failed; the machine goes on.
        """
        resumption.check(self.driver, self.spec, Capability.SUSPEND)
        async with self._turn, self._standing():
            saved = await self._save(folder, progress, copy_disks=False)
            if on_saved is not None:
                on_saved(saved)
            await self.seat.kill(End(ending=Ending.SUSPENDED))
        return saved

    async def snapshot(self, folder: Path, progress: Progress | None) -> Suspension:
        """Save the machine and copies of its disks to `folder`; raises as `suspend`."""
        resumption.check(self.driver, self.spec, Capability.SNAPSHOT)
        async with self._turn, self._standing():
            return await self._save(folder, progress, copy_disks=True)

    async def restore(self, folder: Path) -> None:
        """Put the machine and its disks back to the snapshot in `folder`, and let it go on.

        Another process takes over; console, ports, events and whoever waits for the machine's end
        stay. `expect` looks only at what the console shows from then on.

        Raises:
            UnsupportedError: as `suspend`, or the network of the machine cannot be joined again.
            SuspensionError: it is damaged, or of another machine; this one goes on.
            MachineError: the new process failed; the machine has ended.
        """
        resumption.check(self.driver, self.spec, Capability.SNAPSHOT)
        self._check_link("restore")
        saved = suspension.read(folder)
        if _likeness(saved.spec) != _likeness(resumption.absolute(self.vm.spec)):
            raise SuspensionError(
                f"what is saved in {folder} is another machine ({saved.spec.name})",
                hint="start a machine from it instead: machine.resume",
            )
        if saved.memory.sha256 not in self._verified:
            await suspension.verify(folder, saved)
            self._verified.add(saved.memory.sha256)

        async def follow() -> None:
            await self.seat.occupant.kill()
            async with content.put_back(folder, saved), self._linked() as launch:
                spec = changed(self.spec, publish=self.vm.forwards)  # those it has by now
                successor = await resumption.start(
                    self.driver, spec, launch, folder, saved, is_verified=True
                )
            await self.seat.take(successor)

        async with self._turn:
            await self._changed(follow)
            self.vm.console.skip()
            await self._go_on()
            self.vm.journal.record(Restored(folder=str(folder)))
            await self.came_back(saved)

    async def relocate(self) -> float:
        """Move the running machine to a new process on this host.

        Returns:
            For how many seconds it stood still.

        Raises:
            UnsupportedError: as `suspend`.
            MachineError: it failed; the machine runs where it was.
        """
        resumption.check(self.driver, self.spec, Capability.RELOCATE)
        self._check_link("relocate")
        downtime_s = 0.0

        async def follow() -> None:
            nonlocal downtime_s
            downtime_s = await self._move()

        async with self._turn:
            await self._unplug()
            try:
                await self._changed(follow)
            finally:
                await self._movable.plug(self.spec, self.launch.accel)
        self.vm.journal.record(Moved(pid=self.seat.pid, downtime_s=downtime_s))
        return downtime_s

    async def came_back(self, saved: Suspension) -> None:
        """The machine goes on as it was `saved`: give it back what that cannot hold."""
        self._had_agent = saved.has_agent
        await self._movable.plug(self.spec, self.launch.accel)
        if self.launch.agent is not None:
            await self.close()
            self._setting_clock = asyncio.get_running_loop().create_task(
                _set_clock(Agent(self.launch.agent), self.vm.journal), name="set the guest's clock"
            )
        if self.on_return is not None:
            self.on_return()

    async def close(self) -> None:
        """Wait no longer for the guest's agent."""
        if self._setting_clock is not None:
            self._setting_clock.cancel()
            await asyncio.wait((self._setting_clock,))

    @property
    def _has_agent(self) -> bool:
        """Whether an agent answers, or is about to after the machine came back."""
        if self.launch.agent is None:
            return False
        is_awaited = self._setting_clock is not None and not self._setting_clock.done()
        return self.launch.agent.is_up or (is_awaited and self._had_agent)

    @property
    def _movable(self) -> Movable:
        occupant = self.seat.occupant
        if not isinstance(occupant, Movable):
            raise UnsupportedError("suspend", self.driver.name, "its machines cannot be saved")
        return occupant

    async def _move(self) -> float:
        """Start a process, send it the machine, and let it go on there."""
        source = self.seat.occupant
        ports = changed(self.spec, publish=())  # the host ports are still the other process's
        async with self._linked() as launch:
            target = await self.driver.start(ports, replace(launch, incoming=True))
        clock = asyncio.get_running_loop().time
        stopped_s = began_s = clock()

        def noticed(notice: Notice) -> None:
            nonlocal stopped_s
            if notice.name == "STOP":
                stopped_s = clock()

        source.listen(noticed)
        was_running = self.vm.journal.state is State.RUNNING
        try:
            await qemu_state.send(source, target, self.launch.folder.state_socket)
        except BaseException:
            await target.kill()
            raise
        try:
            if was_running:
                await target.run()
            downtime_s = clock() - stopped_s
        finally:  # the machine is there now, even if nobody waits for it any more
            await self.seat.take(target)
            await self._publish_again()
        if was_running:
            self.vm.journal.became(State.RUNNING)
        _log.info("moved to process %d in %.2f s", target.pid, clock() - began_s)
        return downtime_s

    async def _publish_again(self) -> None:
        """Publish the machine's ports by the process that took over; what it cannot is told."""
        for forward in self.vm.forwards:
            try:
                await self.seat.expose(forward)
            except PortError as error:
                _log.error("port %s leads nowhere any more: %s", forward, error)
                self._forget(forward)

    def _forget(self, forward: Forward) -> None:
        self.vm.forwards = tuple(each for each in self.vm.forwards if each != forward)
        self.vm.journal.record(PortUnexposed(forward=forward))

    async def _save(
        self, folder: Path, progress: Progress | None, *, copy_disks: bool
    ) -> Suspension:
        subject = resumption.Subject(
            spec=changed(self.vm.spec, publish=self.vm.forwards), driver=self.driver,
            hypervisor=self.seat.occupant, accel=self.launch.accel,
            forwards=self.vm.forwards, has_agent=self._has_agent,
        )  # fmt: skip
        saved = await resumption.save(subject, folder, copy_disks=copy_disks, progress=progress)
        self._verified.add(saved.memory.sha256)
        self.vm.journal.record(Saved(folder=str(folder), with_disks=copy_disks))
        return saved

    def _check_link(self, feature: str) -> None:
        if self.spec.network is Network.STREAM and self.relink is None:
            raise UnsupportedError(
                feature, self.driver.name, "the link of its network cannot be opened again",
                instead="give LaunchOptions.relink, or use the network vhost-user or user",
            )  # fmt: skip

    @asynccontextmanager
    async def _linked(self) -> AsyncIterator[Launch]:
        """How to launch a process that takes over: with a link of its own, if it needs one."""
        if self.spec.network is not Network.STREAM or self.relink is None:
            yield self.launch
            return
        with await asyncio.to_thread(self.relink) as link:
            yield replace(self.launch, link_fd=link.fileno())

    async def _unplug(self) -> None:
        """Take out what cannot be saved. The guest has to let go: a paused one runs meanwhile."""
        if self.spec.vsock is None:
            return
        was_paused = self.vm.journal.state is State.PAUSED
        if was_paused:
            await self._go_on()
        try:
            await self._movable.unplug(self.spec)
        finally:
            if was_paused:
                await self._stop()

    async def _stop(self) -> None:
        await self.seat.pause()
        self.vm.journal.became(State.PAUSED)

    async def _go_on(self) -> None:
        await self.seat.run()
        self.vm.journal.became(State.RUNNING)

    async def _changed(self, follow: Callable[[], Awaitable[None]]) -> None:
        with self.vm.console.held():
            async with self.seat.changing():
                await follow()

    @asynccontextmanager
    async def _standing(self) -> AsyncIterator[None]:
        """The machine is paused for the block; it goes on afterwards if it did before."""
        was_running = self.vm.journal.state is State.RUNNING
        await self._unplug()
        if was_running:
            await self._stop()
        try:
            yield
        finally:
            if not self.seat.is_ended:
                if was_running:
                    await self._go_on()
                await self._movable.plug(self.spec, self.launch.accel)


async def _set_clock(agent: Agent, journal: Journal) -> None:
    """Step the guest's clock to that of this host; a guest without an agent keeps its own."""
    try:
        stepped_s = await agent.set_clock(SystemClock().wall_s())
        _log.info("the guest's clock was stepped by %.1f s", stepped_s)
        journal.record(ClockStepped(seconds=stepped_s))
    except (AgentError, MachineTimeoutError) as error:
        _log.warning("the guest's clock was not set: %s", error)


def _likeness(spec: MachineSpec) -> MachineSpec:
    """What has to be the same for one machine to be put into the state of the other."""
    return changed(spec, publish=(), accel=None)
