"""Saving a running machine to a folder (`suspension`), and going on from there.

What of a machine does not survive is what leads out of it: TCP connections of QEMU's user
network end, and back ends are connected anew. What cannot be saved at all (folders that are
shared into the machine) is refused before the machine is stopped.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from msgspec.structs import replace as changed

from sampan.base.clock import Clock, SystemClock
from sampan.base.progress import Progress, Silent
from sampan.errors import UnsupportedError
from sampan.machine.driver import Capability, Driver, Hypervisor, Launch, Movable
from sampan.machine.forward import Forward
from sampan.machine.model import Accelerator, MachineSpec
from sampan.machine.saving import content, identity, suspension
from sampan.machine.saving.suspension import DiskState, Suspension, SuspensionError


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A running machine that is to be saved, and what has to be known of it."""

    spec: MachineSpec
    driver: Driver
    hypervisor: Hypervisor
    accel: Accelerator
    forwards: tuple[Forward, ...]
    has_agent: bool = False


def check(driver: Driver, spec: MachineSpec, capability: Capability) -> None:
    """Refuse to save what could not be continued.

    Raises:
        UnsupportedError: the driver cannot, or the machine has what cannot be saved.
    """
    feature = capability.value
    if capability not in driver.capabilities:
        raise UnsupportedError(
            feature, driver.name, "its driver has no such capability", instead="use the driver qemu"
        )
    if spec.shares:
        raise UnsupportedError(
            feature, driver.name, "the state of shared folders is not the machine's own",
            instead="copy files by the agent instead of sharing a folder",
        )  # fmt: skip


async def save(
    subject: Subject, folder: Path, *, copy_disks: bool,
    progress: Progress | None = None, clock: Clock | None = None,
) -> Suspension:  # fmt: skip
    """Write a machine, which is paused, to `folder`; it stays paused.

    Raises:
        SuspensionError: the folder cannot be written.
        MachineError: the hypervisor failed, or refused.
    """
    hypervisor = subject.hypervisor
    if not isinstance(hypervisor, Movable):
        raise UnsupportedError("suspend", subject.driver.name, "its machines cannot be saved")
    with suspension.writing(folder) as made:
        with made.memory() as memory:
            await hypervisor.save(memory, progress or Silent())
        disks = await asyncio.to_thread(_disks, subject.spec, made, copy_disks)
        saved = Suspension(
            spec=absolute(subject.spec), driver=subject.driver.name, build=await hypervisor.build(),
            accel=subject.accel, memory=memory.file(), disks=disks, forwards=subject.forwards,
            saved_s=(clock or SystemClock()).wall_s(), has_agent=subject.has_agent,
        )  # fmt: skip
        made.commit(saved)
    return saved


@dataclass(frozen=True)
class Origin:
    """A saved machine, to go on with; its disks are put back, unless others take their place."""

    folder: Path
    saved: Suspension
    puts_disks_back: bool = True


async def begin(
    driver: Driver, spec: MachineSpec, launch: Launch, origin: Origin | None
) -> Hypervisor:
    """A process with the machine, paused: about to boot, or as it was in `origin` (see `start`).

    The cable of its network card is pulled if that is to get another address
    (`identity.changes_address`).
    """
    if origin is None:
        return await driver.start(spec, launch)
    is_readdressed = identity.changes_address(origin.saved, spec)
    folder, saved = origin.folder, origin.saved
    async with content.put_back(folder, saved) if origin.puts_disks_back else nullcontext():
        hypervisor = await start(driver, spec, launch, folder, saved)
    if is_readdressed:
        try:
            await identity.pull(hypervisor)
        except BaseException:
            await hypervisor.kill()
            raise
    return hypervisor


async def start(
    driver: Driver, spec: MachineSpec, launch: Launch, folder: Path, saved: Suspension,
    *, is_verified: bool = False,
) -> Hypervisor:  # fmt: skip
    """A process with the machine that is saved in `folder`, paused; its disks are in place.

    `is_verified` says that the digest of its memory was looked at before.

    Raises:
        SuspensionError: it is damaged, or saved by another hypervisor.
        MachineError: the process did not start, or did not take it.
    """
    with suspension.memory(folder, saved) as fd:
        waiting = replace(launch, incoming=True, incoming_fd=fd)
        verifying = asyncio.get_running_loop().create_task(
            _verified(folder, saved, is_verified), name="verify"
        )
        try:
            hypervisor = await driver.start(spec, waiting)
        except BaseException:
            verifying.cancel()
            with suppress(asyncio.CancelledError, SuspensionError):
                await verifying
            raise
        try:
            await verifying
            if not isinstance(hypervisor, Movable):
                raise UnsupportedError("suspend", driver.name, "its machines cannot be saved")
            suspension.check_build(folder, saved, await hypervisor.build())
            await hypervisor.load(fd)
        except BaseException:
            await hypervisor.kill()
            raise
    return hypervisor


async def _verified(folder: Path, saved: Suspension, is_verified: bool) -> None:
    if not is_verified:
        await suspension.verify(folder, saved)


def absolute(spec: MachineSpec) -> MachineSpec:
    """The spec with paths that mean the same everywhere."""
    return changed(
        spec,
        kernel=spec.kernel.absolute(),
        initrd=spec.initrd and spec.initrd.absolute(),
        disks=tuple(changed(disk, path=disk.path.absolute()) for disk in spec.disks),
        discs=tuple(disc.absolute() for disc in spec.discs),
    )


def _disks(spec: MachineSpec, made: suspension.Writing, copy_disks: bool) -> tuple[DiskState, ...]:
    states = []
    for index, disk in enumerate(spec.disks):
        copy = made.disk_copy(index)
        if copy_disks and not disk.read_only:
            sha256 = content.copy(disk.path, copy)
            states.append(suspension.disk_state(disk.path, copy.name, sha256))
        else:
            states.append(suspension.disk_state(disk.path))
    return tuple(states)
