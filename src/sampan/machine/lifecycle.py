"""The life of a machine, for asyncio: launched, used, powered off or ended.

A `VM` exists only inside `VM.launch`: however the block is left, the machine is gone
afterwards and so is everything it kept on disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Unpack

from msgspec.structs import replace

from sampan.base import log
from sampan.base.progress import Progress
from sampan.errors import UsageError
from sampan.machine import qmp, vsock
from sampan.machine.agent.client import Agent, ExecOptions
from sampan.machine.agent.program import ExecResult
from sampan.machine.body import Body, LaunchOptions, live
from sampan.machine.console import Console
from sampan.machine.error import MachineEndedError, MachineTimeoutError
from sampan.machine.forward import Forward
from sampan.machine.model import End, MachineSpec
from sampan.machine.saving import identity, suspension
from sampan.machine.saving.mover import Mover
from sampan.machine.saving.resumption import Origin
from sampan.machine.saving.suspension import Suspension
from sampan.machine.sharing import teller
from sampan.machine.storage import growth
from sampan.machine.view import metrics, readiness
from sampan.machine.view.event import Event, State
from sampan.machine.view.metrics import Metrics
from sampan.machine.view.readiness import Condition

_log = log.get(__name__)

POWER_OFF_DEADLINE_S = 30.0
PRESS_AGAIN_S = 2.0  # a guest that is still booting does not hear the first press


class VM:
    """A running machine.

    `verdict` tells which accelerator it has and why; `forwards` are the ports that it publishes
    now, with their real host ports; `console` is its serial console; `folder` is its runtime
    folder; `journal` has all that happened to it.
    """

    def __init__(self, spec: MachineSpec, body: Body, options: LaunchOptions) -> None:
        self.spec = spec
        self.verdict = body.verdict
        self.console = body.launch.console
        self.forwards = body.forwards
        self.folder = body.launch.folder
        self.journal = body.journal
        self._hypervisor = body.seat
        self._vsock = body.vsock
        self._link = body.launch.agent
        self._mover = Mover(self, body.seat, body.driver, body.spec, body.launch, options.relink)

    @classmethod
    @asynccontextmanager
    async def launch(
        cls,
        spec: MachineSpec,
        options: LaunchOptions | None = None,
        *,
        prepare: Callable[[Console], None] | None = None,
    ) -> AsyncIterator[VM]:
        """Boot a machine; it is ended (not powered off) when the block is left.

        `prepare` is called with the console before the machine has said anything: attach there
        what must not miss a byte.

        Raises:
            UsageError: the spec makes no sense.
            ToolMissingError: the hypervisor is not installed.
            PortError: a published port is taken.
            MachineError: the machine did not start.
            NotReadyError: it was not ready in time.
        """
        async with cls._live(spec, options or LaunchOptions(), prepare, None) as vm:
            yield vm

    @classmethod
    @asynccontextmanager
    async def resume_from(
        cls,
        folder: Path,
        options: LaunchOptions | None = None,
        *,
        spec: MachineSpec | None = None,
        prepare: Callable[[Console], None] | None = None,
    ) -> AsyncIterator[VM]:
        """Go on with the machine that is saved in `folder`, in a new process.

        It has the host ports it had before. The disks of a suspended machine must be as it left
        them; those of a snapshot are put back. `spec` may say where the machine is to be
        different: its name, its ports, the files of its disks. With another name or MAC address
        it is another machine, and its guest is told so by its agent (`saving.identity`). What is
        in the folder stays.

        Raises:
            SuspensionError: it cannot be continued: damaged, or something of it has changed.
            SampanError: as `launch`.
        """
        saved = suspension.read(folder)
        has_own_disks = spec is None or spec.disks == saved.spec.disks
        if has_own_disks:
            suspension.check_disks(saved)
        if spec is None:
            spec = replace(saved.spec, publish=saved.forwards or saved.spec.publish)
        spec = replace(spec, accel=saved.accel)
        origin = Origin(folder, saved, puts_disks_back=has_own_disks)
        async with cls._live(spec, options or LaunchOptions(), prepare, origin) as vm:
            yield vm

    @classmethod
    @asynccontextmanager
    async def _live(
        cls, spec: MachineSpec, options: LaunchOptions,
        prepare: Callable[[Console], None] | None, origin: Origin | None,
    ) -> AsyncIterator[VM]:  # fmt: skip
        async with live(spec, options, prepare, origin) as body, AsyncExitStack() as leaving:
            vm = cls(spec, body, options)
            leaving.push_async_callback(vm._mover.close)
            await leaving.enter_async_context(teller.telling(body.controls, body.launch.agent))
            if origin is not None:
                await vm._mover.came_back(origin.saved)
                await identity.assume(origin.saved, spec, vm)
            if options.ready is not None:
                await vm.wait_ready(options.ready)
            yield vm

    @property
    def pid(self) -> int:
        """The hypervisor's process."""
        return self._hypervisor.pid

    @property
    def argv(self) -> tuple[str, ...]:
        """The hypervisor's command line."""
        return self._hypervisor.argv

    @property
    def agent(self) -> Agent:
        """The agent in the guest: it runs programs, copies files, steps the clock.

        Raises:
            UsageError: the machine has no channel to one.
        """
        if self._link is None:
            raise UsageError(
                "the machine was launched without a channel to an agent",
                hint="say MachineSpec(agent=True)",
            )
        return Agent(self._link)

    async def exec(self, argv: Sequence[str], **options: Unpack[ExecOptions]) -> ExecResult:
        """Run a program in the guest; see `Agent.exec`."""
        return await self.agent.exec(argv, **options)

    async def copy_to(self, source: Path | str, target: str, *, container: str = "") -> None:
        """Copy files into the guest; see `Agent.copy_to`."""
        await self.agent.copy_to(source, target, container=container)

    async def copy_from(self, source: str, target: Path | str, *, container: str = "") -> None:
        """Copy files out of the guest; see `Agent.copy_from`."""
        await self.agent.copy_from(source, target, container=container)

    def listen(self, listener: Callable[[qmp.Notice], None]) -> None:
        """Call `listener` with each event of the hypervisor from now on."""
        self._hypervisor.listen(listener)

    @property
    def vsock(self) -> vsock.Endpoint:
        """Sockets between the host and the guest.

        Raises:
            UsageError: the machine has none.
        """
        if self._vsock is None:
            raise UsageError(
                "the machine has no vsock", hint="give its spec one: MachineSpec(vsock=Vsock())"
            )
        return self._vsock

    @property
    def state(self) -> State:
        """Where in its life the machine is."""
        return self.journal.state

    def events(self, *, since: int = 0) -> AsyncIterator[Event]:
        """The events after number `since`, from the start unless given, then each as it happens.

        It ends with the machine. Events that were forgotten (`journal.DEFAULT_KEPT`) are counted
        by a `Missed`.
        """
        return self.journal.follow(since)

    async def wait_ready(self, condition: Condition) -> None:
        """Wait until the machine meets `condition` (`machine.view.readiness`).

        Raises:
            NotReadyError: a stage was not reached in time, or the machine ended; it says which.
        """
        await readiness.wait(condition, self)

    async def metrics(self) -> Metrics:
        """The machine's counters, now.

        Raises:
            MachineEndedError: the machine has ended.
        """
        return await metrics.read(self._hypervisor, self.spec)

    async def pause(self) -> None:
        """Stop the machine's processors until `resume`; its memory stays.

        Raises:
            MachineEndedError: the machine has ended.
        """
        await self._mover.pause()

    async def resume(self) -> None:
        """Let a paused machine go on.

        Raises:
            MachineEndedError: the machine has ended.
        """
        await self._mover.resume()

    async def execute(
        self, command: str, arguments: Mapping[str, qmp.Json] | None = None
    ) -> qmp.Json:
        """Run one command of the hypervisor's own control protocol (QMP).

        Raises:
            CommandError: it refused.
            MachineEndedError: the machine has ended.
        """
        return await self._hypervisor.execute(command, arguments)

    async def expose(self, forward: Forward) -> Forward:
        """Publish one more port of a machine on the network `user`; it listens when this returns.

        From then on it is one of `forwards`, and stays when the machine is saved, restored or
        moved.

        Returns:
            The forward with its real host port, if that was 0.

        Raises:
            UnsupportedError: its network or driver cannot; the hint says what can.
            UsageError: a port or the address of it is none.
            PortError: the host port is taken; the message names it.
            MachineEndedError: the machine has ended.
        """
        return await self._mover.expose(forward)

    async def unexpose(self, forward: Forward) -> Forward:
        """Publish no more what listens where `forward` says; connections through it stay.

        Returns:
            The forward that was there.

        Raises:
            UnsupportedError: as `expose`.
            PortError: nothing is published there.
            MachineEndedError: the machine has ended.
        """
        return await self._mover.unexpose(forward)

    async def grow_disk(self, index: int, size_bytes: int) -> None:
        """Make disk `index` of the spec (the first is 0) larger; see `growth.grow`."""
        await growth.grow(self.execute, index, size_bytes)

    async def suspend(
        self, folder: Path, *, progress: Progress | None = None,
        on_saved: Callable[[Suspension], None] | None = None,
    ) -> Suspension:  # fmt: skip
        """Save the machine to `folder` and end it; `resume_from` goes on with it.

        Its disks stay where they are. `on_saved` is called in between. If it cannot be saved, or
        that raises, the machine goes on; raises as `Mover.suspend`.
        """
        return await self._mover.suspend(folder, progress, on_saved)

    async def snapshot(self, folder: Path, *, progress: Progress | None = None) -> Suspension:
        """Save the machine with its disks to `folder`; it goes on. Raises as `Mover.suspend`."""
        return await self._mover.snapshot(folder, progress)

    async def restore(self, folder: Path) -> None:
        """Put the machine and its disks back to the snapshot in `folder`; see `Mover.restore`."""
        await self._mover.restore(folder)

    async def relocate(self) -> float:
        """Move the machine to a new process on this host; see `Mover.relocate`."""
        return await self._mover.relocate()

    async def press_power_button(self) -> None:
        """Press the ACPI power button and return at once.

        Raises:
            MachineEndedError: the machine has ended.
        """
        await self._hypervisor.power_button()

    async def power_off(self, *, deadline_s: float = POWER_OFF_DEADLINE_S) -> End:
        """Press the power button, again and again, and wait; a deaf guest is ended in the end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                return await self._press_until_ended()
        _log.warning("the guest did not power off within %g s: ending it", deadline_s)
        return await self.kill()

    async def _press_until_ended(self) -> End:
        while True:
            with suppress(MachineEndedError):
                await self.press_power_button()
            with suppress(MachineTimeoutError):
                return await self.wait(timeout_s=PRESS_AGAIN_S)

    async def kill(self) -> End:
        """End the machine at once, as pulling the plug does."""
        return await self._hypervisor.kill()

    async def wait(self, *, timeout_s: float | None = None) -> End:
        """Wait until the machine has ended, and say how.

        Raises:
            MachineTimeoutError: it still runs after `timeout_s`.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await self._hypervisor.wait()
        except TimeoutError:
            raise MachineTimeoutError(f"the machine still runs after {timeout_s:g} s") from None
