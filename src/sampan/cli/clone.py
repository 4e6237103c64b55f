"""`sampan clone`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sampan.base import log
from sampan.cli import detach, goingon, target
from sampan.cli.settings import Settings

_log = log.get(__name__)

if TYPE_CHECKING:
    from sampan.machine.model import MachineSpec
    from sampan.machine.registry.claim import Claim

_DISKS = "disks"
_PATIENCE_S = 15.0  # for the agent, which was there when the machine was saved
_EPILOG = """\b
Examples:
  sampan snapshot create web clean
  sampan clone web clean web-a web-b

Each clone has disks of its own, which hold what differs from the snapshot's: keep that as long
as there are clones. Each is on a network of its own, and publishes no ports: sampan net expose.
"""


@click.command("clone", epilog=_EPILOG)
@target.name
@click.argument("tag")
@click.argument("clones", metavar="NEW…", nargs=-1, required=True)
@click.pass_obj
def command(settings: Settings, name: str, tag: str, clones: tuple[str, ...]) -> None:
    """Start new machines, in the background, from the snapshot TAG of the machine NAME."""
    from sampan.desktop import saved
    from sampan.machine.registry import place

    record = target.healed(target.store(), name)
    folder = saved.found(record.folder, tag)
    for new in clones:
        place.check_name(new)
    child = detach.inherited()
    if child is not None:
        _run_here(settings, child, folder, clones[0])
        return
    for new in clones:
        click.echo(goingon.start(("clone", record.name, tag, new)))
        _identify(new)


def _identify(name: str) -> None:
    """Let the guest know that it is another machine, if an agent answers."""
    import asyncio

    from sampan.machine.agent import served
    from sampan.machine.error import MachineError
    from sampan.machine.saving import clone

    record = target.store().record(name)
    if record.made is None or not record.made.spec.agent:
        return
    control = target.reached(record).path

    async def identify() -> None:
        async with served.reach(control, deadline_s=_PATIENCE_S) as agent:
            await clone.identify(agent, name)

    try:
        asyncio.run(identify())
    except MachineError as error:
        _log.warning("%s has still the identity of its original: %s", name, error)


def _run_here(settings: Settings, child: detach.Detached, folder: Path, new: str) -> None:
    from msgspec.structs import replace

    from sampan.desktop import saved
    from sampan.machine.saving import clone, suspension

    state = suspension.read(folder)
    wired = replace(saved.connected(folder), publish=(), address="")

    def equip(claim: Claim) -> MachineSpec:
        claim.keep(_DISKS)
        disks = claim.folder / _DISKS
        disks.mkdir(exist_ok=True)
        return clone.variant(folder, state, new, disks)

    spec = replace(state.spec, name=new)
    goingon.run_here(settings, child, folder, spec, wired, equip=equip)
