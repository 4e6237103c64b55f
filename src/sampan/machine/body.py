"""What a machine is made of while it lives: brought up part by part, and taken down in reverse.

`lifecycle.VM` is the object that users hold; this is what it holds. However the block is left, the
hypervisor is gone afterwards, and so is everything that was kept on disk for it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from sampan.machine import admission, state, vsock
from sampan.machine.agent.link import Link
from sampan.machine.console import Console
from sampan.machine.device import Vsock
from sampan.machine.driver import Capability, Driver, Hypervisor, Launch
from sampan.machine.drivers.qemu import QemuDriver
from sampan.machine.forward import Forward
from sampan.machine.model import MachineSpec, Verdict
from sampan.machine.panic import PanicWatch
from sampan.machine.saving import resumption
from sampan.machine.saving.resumption import Origin
from sampan.machine.saving.seat import Seat
from sampan.machine.sharing import control, share
from sampan.machine.sharing.control import Control
from sampan.machine.view.event import State
from sampan.machine.view.journal import Journal
from sampan.machine.view.readiness import Condition


@dataclass(frozen=True, kw_only=True)
class LaunchOptions:
    """How a machine is launched, as opposed to what it is.

    `driver` is the program that runs it (None: QEMU); `runtime_root` is where sockets live
    (None: `/tmp/sampan-UID`); `start_deadline_s` is for the hypervisor to come up, not for the
    guest to boot. `link_fd` is the machine's end of a connected Unix socket, which stays the
    caller's, and `link_path` where one listens, for networks that need them (`model.Network`).
    `relink` opens another such connection: a machine on the network `stream` needs it for
    `restore` and `relocate`, where another process takes over; the first one's `link_fd` has to
    be closed by then. `ready` is waited for before the machine is given to its user; a machine
    that is not ready in time is ended.
    """

    driver: Driver | None = None
    runtime_root: Path | None = None
    start_deadline_s: float = 30.0
    link_fd: int | None = None
    link_path: Path | None = None
    relink: Callable[[], socket.socket] | None = None
    ready: Condition | None = None


@dataclass(frozen=True, kw_only=True)
class Body:
    """A machine that runs.

    `spec` is what its hypervisor was given, and the ports it got; `launch` is what it was started
    with; `controls` are the channels to the servers of its shares.
    """

    spec: MachineSpec
    driver: Driver
    verdict: Verdict
    launch: Launch
    seat: Seat
    forwards: tuple[Forward, ...]
    journal: Journal
    vsock: vsock.Endpoint | None
    controls: Mapping[str, Control]


@asynccontextmanager
async def live(
    spec: MachineSpec,
    options: LaunchOptions,
    prepare: Callable[[Console], None] | None,
    origin: Origin | None,
) -> AsyncIterator[Body]:
    """Bring a machine up, from `origin` if it was saved; it runs within the block.

    Raises:
        SampanError: as `VM.launch`.
    """
    driver = options.driver or QemuDriver()
    admission.check(driver, spec, link_fd=options.link_fd, link_path=options.link_path)
    booted = replace(spec, cmdline=share.command_line(spec))
    root = state.runtime_root(options.runtime_root)
    verdict = await asyncio.to_thread(driver.verdict, spec, root)
    with (
        state.machine_folder(root) as folder,
        vsock.opened(_own_vsock(driver, spec), folder.vsock) as endpoint,
        control.opened(spec.shares) as controls,
    ):
        console = Console()
        if prepare is not None:
            prepare(console)
        launch = Launch(
            accel=verdict.accel, folder=folder, console=console,
            deadline_s=options.start_deadline_s, link_fd=options.link_fd,
            vsock_path=None if endpoint is None else endpoint.device_path, controls=controls,
            link_path=options.link_path, agent=Link() if spec.agent else None,
        )  # fmt: skip
        seat = Seat(await resumption.begin(driver, booted, launch, origin))
        async with _recorded(spec, seat, launch) as journal:
            forwards = await seat.forwards(spec.publish)
            await seat.run()
            journal.became(State.RUNNING)
            yield Body(
                spec=replace(booted, publish=forwards), driver=driver, verdict=verdict,
                launch=launch, seat=seat, forwards=forwards, journal=journal, vsock=endpoint,
                controls=controls,
            )  # fmt: skip


def _own_vsock(driver: Driver, spec: MachineSpec) -> Vsock | None:
    """The vsock that is ours to make; some hypervisors make it themselves."""
    return None if Capability.VSOCK_SOCKETS in driver.capabilities else spec.vsock


@asynccontextmanager
async def _recorded(
    spec: MachineSpec, hypervisor: Hypervisor, launch: Launch
) -> AsyncIterator[Journal]:
    """A journal of `hypervisor`, which ends with the block; its end is recorded, too."""
    watch, journal = PanicWatch(hypervisor.panicked), Journal(spec.name)

    async def until_end() -> None:
        journal.ended(await hypervisor.wait())

    hypervisor.listen(journal.noticed)
    hypervisor.listen(watch.noticed)
    launch.console.attach(watch.console_said)
    if launch.agent is not None:
        journal.listen(launch.agent.heard)
    watching = asyncio.get_running_loop().create_task(until_end(), name="the end of a machine")
    try:
        yield journal
    finally:
        watch.close()
        await hypervisor.kill()
        await watching
