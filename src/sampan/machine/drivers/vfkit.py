"""Machines by vfkit, on macOS' Virtualization.framework.

**Never run on a Mac**: everything here is tested against a program that takes vfkit's options
and serves its API, on Linux. vfkit starts the guest as soon as it is ready, so `run` only
resumes; the console is there before, so nothing it says is lost.
"""

from __future__ import annotations

import asyncio
import gzip
import shutil
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from sampan.base import proc
from sampan.errors import ToolMissingError, UnsupportedError
from sampan.machine import accel
from sampan.machine.driver import Capability, Launch
from sampan.machine.drivers import vfkit_argv
from sampan.machine.drivers.child import Child
from sampan.machine.drivers.vfkit_rest import Change, NoAnswerError, Rest
from sampan.machine.error import MachineEndedError, MachineError, MachineTimeoutError
from sampan.machine.model import Accelerator, End, MachineSpec, Verdict

_POLL_S = 0.05
_HARD_STOP_S = 1.0
_END_S = 1.0
_GZIP = b"\x1f\x8b"
UNTRIED = "the driver was never run on a Mac: please say how it went (sampan doctor --selftest)"
T = TypeVar("T")


class Vfkit(Child):
    """One running vfkit."""

    program = vfkit_argv.PROGRAM

    def __init__(self, argv: tuple[str, ...], launch: Launch, *, reboots: bool) -> None:
        super().__init__(argv, launch, reboots=reboots)
        self._rest = Rest(launch.folder.control_socket)

    async def answering(self, deadline_s: float) -> None:
        """Wait until it takes commands.

        Raises:
            MachineError: it ended instead, or was not ready in time.
        """
        try:
            async with asyncio.timeout(deadline_s):
                while not self._end.done():
                    with suppress(NoAnswerError):
                        await self._rest.state()
                        return
                    await asyncio.wait((self._end,), timeout=_POLL_S)
        except TimeoutError:
            raise MachineTimeoutError(f"vfkit was not ready within {deadline_s:g} s") from None
        raise self.not_started((await self.wait()).detail or "it ended at once")

    async def run(self) -> None:
        """See `Hypervisor.run`."""
        await super().run()
        with suppress(MachineEndedError):  # `wait` explains it
            if await self._unless_ended(self._rest.state()) == "Paused":
                await self._unless_ended(self._rest.change(Change.RESUME))

    async def pause(self) -> None:
        """See `Hypervisor.pause`."""
        await self._unless_ended(self._rest.change(Change.PAUSE))

    async def power_button(self) -> None:
        """See `Hypervisor.power_button`."""
        await self._unless_ended(self._rest.change(Change.STOP))

    async def _unless_ended(self, asking: Awaitable[T]) -> T:
        """What is asked for; if nobody answers because the machine has just ended, say that."""
        try:
            return await asking
        except NoAnswerError as error:
            await asyncio.wait((self._end,), timeout=_END_S)
            if not self._end.done():
                raise
            raise MachineEndedError("the machine has ended") from error

    async def kill(self) -> End:
        """See `Hypervisor.kill`: the machine is asked for first, which frees what it holds."""
        if not self._end.done():
            self._forced = True
            with suppress(MachineError, TimeoutError):
                async with asyncio.timeout(_HARD_STOP_S):
                    await self._rest.change(Change.HARD_STOP)
                    return await self.wait()
        return await super().kill()


class VfkitDriver:
    """See `Driver`."""

    name = vfkit_argv.PROGRAM
    capabilities = frozenset({
        Capability.POWER_BUTTON, Capability.PAUSE, Capability.DISKS, Capability.DISCS,
        Capability.VSOCK, Capability.VSOCK_SOCKETS, Capability.VIRTIOFS, Capability.LINK_DATAGRAM,
    })  # fmt: skip

    def verdict(self, spec: MachineSpec, root: Path) -> Verdict:
        """See `Driver.verdict`.

        Raises:
            ToolMissingError: vfkit is not installed.
            UnsupportedError: the machine is not of this computer's architecture.
        """
        del root
        require(vfkit_argv.PROGRAM, "macOS 13 or later, and brew install vfkit")
        if spec.accel not in (None, Accelerator.HVF) or spec.arch is not accel.host_arch():
            raise UnsupportedError(
                f"{spec.arch} machines on {spec.accel or 'this computer'}", self.name,
                "it runs machines of its host's architecture, on the processor",
                instead="use the driver qemu",
            )  # fmt: skip
        return Verdict(Accelerator.HVF)

    async def start(self, spec: MachineSpec, launch: Launch) -> Vfkit:
        """See `Driver.start`."""
        kernel = await asyncio.to_thread(_plain_kernel, spec.kernel, launch.folder.path)
        wiring = wiring_of(launch)
        argv = vfkit_argv.build(replace(spec, kernel=kernel), wiring=wiring)
        vfkit = Vfkit(argv, launch, reboots=spec.reboots)
        vfkit.left += [] if kernel == spec.kernel else [kernel]
        try:
            if spec.vsock is not None:
                names = map(vfkit_argv.vsock_socket, spec.vsock.ports)
                await asyncio.to_thread(vfkit.has_sockets, names, spec.vsock.folder)
            await vfkit.answering(launch.deadline_s)
        except BaseException:
            await vfkit.kill()
            raise
        return vfkit


def wiring_of(launch: Launch) -> vfkit_argv.Wiring:
    """The paths of a launch."""
    return vfkit_argv.Wiring(
        control_path=str(launch.folder.control_socket),
        link_path="" if launch.link_path is None else str(launch.link_path),
        vsock_folder=str(launch.folder.path),
    )


def require(program: str, needs: str) -> None:
    """Look for a hypervisor of macOS.

    Raises:
        ToolMissingError: it is not here; the hint says what it takes, and that nobody tried.
    """
    try:
        proc.find_tool(program)
    except ToolMissingError:
        raise ToolMissingError(
            f"{program} is not installed", hint=f"it takes {needs}; {UNTRIED}"
        ) from None


def _plain_kernel(kernel: Path, folder: Path) -> Path:
    """`kernel`, unpacked if it is gzipped: the framework does not do that on arm64."""
    with kernel.open("rb") as stream:
        if stream.read(2) != _GZIP:
            return kernel
    plain = folder / "kernel"
    try:
        with gzip.open(kernel) as packed, plain.open("wb") as stream:
            shutil.copyfileobj(packed, stream)
    except (OSError, EOFError) as error:
        plain.unlink(missing_ok=True)
        raise MachineError(f"{kernel}: cannot unpack it: {error}") from error
    return plain
