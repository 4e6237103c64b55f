"""Several machines from one that was saved: each goes on from there, by itself.

What each has of its own: a name, host ports, and disks, which are overlays (qcow2) over those that
were saved; of these nothing may be written as long as there are clones. If an agent answered in
the guest when it was saved, that gets a host name, a machine id and a MAC address, too
(`identity`); else it keeps those it has in memory, and does no harm as long as each is on a
network of its own, as those on QEMU's user networking are.

Linux (since 5.18, on x86) seeds its random numbers anew as soon as it goes on; other kernels go on
with the same ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from msgspec.structs import replace

from sampan.base import proc
from sampan.errors import UnsupportedError, UsageError
from sampan.machine.body import LaunchOptions
from sampan.machine.device import Disk, DiskFormat
from sampan.machine.drivers.qemu_argv import mac_address
from sampan.machine.lifecycle import VM
from sampan.machine.model import MachineSpec, Network
from sampan.machine.saving import identity, suspension
from sampan.machine.saving.suspension import Suspension

_AT_ONCE = 4  # processes that start


@asynccontextmanager
async def clones(
    folder: Path, count: int, disks: Path, options: LaunchOptions | None = None
) -> AsyncIterator[tuple[VM, ...]]:
    """Run `count` machines that go on from the one saved in `folder`; they end with the block.

    Their disks are made in the folder `disks`, which is there, and removed at the end.

    Raises:
        UsageError: a count below 1.
        UnsupportedError: the network of the machine needs a link; see `variant` for those.
        SuspensionError, MachineError: as `VM.resume_from`; then all are ended.
    """
    if count < 1:
        raise UsageError(f"cannot start {count} clones")
    saved = suspension.read(folder)
    if saved.spec.network not in (Network.USER, Network.NONE):
        raise UnsupportedError(
            "clones", f"a machine on the network {saved.spec.network}",
            "each of them would need a link of its own",
            instead="start each with saving.clone.variant and VM.resume_from",
        )  # fmt: skip
    suspension.check_disks(saved)
    turns = asyncio.Semaphore(_AT_ONCE)
    specs: list[MachineSpec] = []
    async with AsyncExitStack() as living:

        async def start(spec: MachineSpec) -> VM:
            async with turns:
                return await living.enter_async_context(VM.resume_from(folder, options, spec=spec))

        living.callback(lambda: _remove(specs))
        for number in range(1, count + 1):
            name = f"{saved.spec.name}-{number}"
            specs.append(await asyncio.to_thread(variant, folder, saved, name, disks))
        starting = [
            asyncio.get_running_loop().create_task(start(each), name=each.name) for each in specs
        ]
        await asyncio.wait(starting)
        yield tuple([await each for each in starting])


def variant(folder: Path, saved: Suspension, name: str, disks: Path) -> MachineSpec:
    """The spec of a clone, for `VM.resume_from`; makes its disks in the folder `disks`.

    Raises:
        ChildError: qemu-img could not make a disk.
    """
    own = tuple(
        disk if disk.read_only else _overlay(disk, state.copy and folder / state.copy, target)
        for index, (disk, state) in enumerate(zip(saved.spec.disks, saved.disks, strict=True))
        for target in (disks / f"{name}-disk{index}.qcow2",)
    )
    return replace(
        saved.spec,
        name=name,
        mac=mac_address(name) if saved.has_agent else identity.mac(saved.spec),
        disks=own,
        publish=tuple(replace(each, host_port=0) for each in saved.spec.publish),
    )


def _overlay(disk: Disk, copy: Path | str, target: Path) -> Disk:
    backing = Path(copy) if copy else disk.path
    proc.run([
        "qemu-img", "create", "-q", "-f", "qcow2", "-F", disk.format,
        "-b", backing.absolute(), target,
    ])  # fmt: skip
    return replace(disk, path=target, format=DiskFormat.QCOW2)


def _remove(specs: list[MachineSpec]) -> None:
    for spec in specs:
        for disk in spec.disks:
            if not disk.read_only:
                disk.path.unlink(missing_ok=True)
