"""Machines by HyperKit, on Macs with Intel processors.

**Never run on a Mac**: everything here is tested against a program that takes HyperKit's options
and signals, on Linux. HyperKit starts the guest at once, and ends with status 2 when the guest
reboots; then it is started again.
"""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import ClassVar

from sampan.errors import UnsupportedError
from sampan.machine.device import Vsock
from sampan.machine.driver import Capability, Launch
from sampan.machine.drivers import hyperkit_argv, hyperkit_state
from sampan.machine.drivers.child import Child
from sampan.machine.drivers.vfkit import require
from sampan.machine.error import MachineTimeoutError
from sampan.machine.model import Accelerator, MachineSpec, Verdict

_POLL_S = 0.02
_REBOOT_S = 5.0  # for a new process after the guest rebooted
_PAUSE, _GO_ON, _BUTTON = signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM


class HyperKit(Child):
    """One running HyperKit."""

    program = hyperkit_argv.PROGRAM
    rebooted: ClassVar[int | None] = 2

    def __init__(
        self, argv: tuple[str, ...], launch: Launch, pid_file: Path, *, reboots: bool
    ) -> None:
        self._pid_file = pid_file
        self._paused = False
        super().__init__(argv, launch, reboots=reboots)

    async def taking_signals(self, deadline_s: float) -> None:
        """Wait until it has written its pid: before, signals would just end it.

        Raises:
            MachineError: it ended instead, or did not in time.
        """
        try:
            async with asyncio.timeout(deadline_s):
                while not self._end.done():
                    if await asyncio.to_thread(_text, self._pid_file) == str(self.pid):
                        return
                    await asyncio.wait((self._end,), timeout=_POLL_S)
        except TimeoutError:
            raise MachineTimeoutError(f"HyperKit was not ready within {deadline_s:g} s") from None
        raise self.not_started((await self.wait()).detail or "it ended at once")

    async def run(self) -> None:
        """See `Hypervisor.run`."""
        await super().run()
        if self._paused:
            await self._tell("resume", _GO_ON)
            self._paused = False

    async def pause(self) -> None:
        """See `Hypervisor.pause`."""
        await self._tell("pause", _PAUSE)
        self._paused = True

    async def power_button(self) -> None:
        """See `Hypervisor.power_button`."""
        await self._tell("press the power button", _BUTTON)

    async def _tell(self, what: str, number: signal.Signals) -> None:
        self.check_alive(what)
        await self.taking_signals(_REBOOT_S)
        self.signal(number)


class HyperKitDriver:
    """See `Driver`. `state_folder` is where HyperKit's users look for files; None: nowhere."""

    name = hyperkit_argv.PROGRAM
    capabilities = frozenset({
        Capability.POWER_BUTTON, Capability.PAUSE, Capability.DISKS, Capability.DISCS,
        Capability.QCOW2, Capability.VSOCK, Capability.VSOCK_SOCKETS, Capability.LINK_VPNKIT,
    })  # fmt: skip

    def __init__(self, state_folder: Path | None = None) -> None:
        self._state_folder = state_folder

    def verdict(self, spec: MachineSpec, root: Path) -> Verdict:
        """See `Driver.verdict`.

        Raises:
            ToolMissingError: HyperKit is not installed.
            UnsupportedError: another accelerator is asked for.
        """
        del root
        require(hyperkit_argv.PROGRAM, "macOS on an Intel processor, and HyperKit")
        if spec.accel not in (None, Accelerator.HVF):
            raise UnsupportedError(
                f"machines on {spec.accel}", self.name, "its guests run on the processor",
                instead="use the driver qemu",
            )  # fmt: skip
        return Verdict(Accelerator.HVF)

    async def start(self, spec: MachineSpec, launch: Launch) -> HyperKit:
        """See `Driver.start`."""
        state = self._state_folder or launch.folder.path
        await asyncio.to_thread(state.mkdir, mode=0o700, parents=True, exist_ok=True)
        wiring = wiring_of(launch, state)
        argv = hyperkit_argv.build(spec, wiring=wiring)
        pid_file = state / hyperkit_state.PID
        machine = HyperKit(argv, launch, pid_file, reboots=spec.reboots)
        if self._state_folder is None:
            machine.left += hyperkit_state.paths(state)
        try:
            if spec.vsock is not None:
                names = _vsock_names(spec.vsock)
                await asyncio.to_thread(machine.has_sockets, names, spec.vsock.folder)
            await machine.taking_signals(launch.deadline_s)
            document = hyperkit_state.document(spec, wiring, argv, machine.pid)
            await asyncio.to_thread(hyperkit_state.write, state, document, machine.terminal)
        except BaseException:
            await machine.kill()
            raise
        return machine


def wiring_of(launch: Launch, state: Path) -> hyperkit_argv.Wiring:
    """The paths of a launch."""
    return hyperkit_argv.Wiring(
        state_folder=str(state),
        link_path="" if launch.link_path is None else str(launch.link_path),
        vsock_folder=str(launch.folder.path),
    )


def _vsock_names(vsock: Vsock) -> list[str]:
    """The sockets and links that HyperKit makes."""
    return [
        "connect",
        *(f"{vsock.cid:08x}.{port:08x}" for port in vsock.ports),
        *(f"guest.{port:08x}" for port in vsock.ports),
    ]


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""
