"""`sampan clone`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sampan.cli import detach, goingon, jsonout, target
from sampan.cli.settings import Settings

if TYPE_CHECKING:
    from sampan.machine.model import MachineSpec
    from sampan.machine.registry.claim import Claim

_DISKS = "disks"
_EPILOG = """\b
Examples:
  sampan snapshot create web clean
  sampan clone web clean web-a web-b
  sampan clone --publish 8081:80 web clean web-c
  sampan --json clone web clean web-d | jq .ports

Each clone has disks of its own, which hold what differs from the snapshot's: keep that as long
as there are clones. If an agent answered in the machine when it was saved, each clone gets a host
name, a machine id and a MAC address. It is connected as its original: to a network of its own, or
to the shared one, where it gets another address.
"""


@click.command("clone", epilog=_EPILOG + target.STATUS)
@target.name
@click.argument("tag")
@click.argument("clones", metavar="NEW…", nargs=-1, required=True)
@click.option(
    "--publish", multiple=True, metavar="[BIND:]HOST:GUEST[/tcp|udp]",
    help="As of sampan run. Without it, the ports of the guest that the machine NAME was started "
    "with are published, each at a free port of the host.",
)  # fmt: skip
@click.pass_obj
def command(
    settings: Settings, name: str, tag: str, clones: tuple[str, ...], publish: tuple[str, ...]
) -> None:
    """Start new machines, in the background, from the snapshot TAG of the machine NAME."""
    from sampan.desktop import cloning, saved
    from sampan.machine.registry import place

    if len(clones) > 1:
        cloning.check_several(publish)
    record = target.healed(target.store(), name)
    folder = saved.found(record.folder, tag)
    for new in clones:
        place.check_name(new)
    child = detach.inherited()
    if child is not None:
        _run_here(settings, child, folder, clones[0], publish)
        return
    ports = [word for each in publish for word in ("--publish", each)]
    for new in clones:
        goingon.start((*settings.globals(), "clone", *ports, "--", record.name, tag, new))
        _say(settings, new)


def _say(settings: Settings, name: str) -> None:
    """Print the name of a clone that runs; as JSON, what is to be known of it."""
    if not settings.json:
        click.echo(name)
        return
    from sampan.machine.saving import identity

    record = target.store().record(name)
    if record.made is not None and record.run is not None:
        known = {"mac": identity.mac(record.made.spec), "ports": record.run.ports}
        click.echo(jsonout.line({"name": name, **known}), nl=False)


def _run_here(
    settings: Settings, child: detach.Detached, folder: Path, new: str, publish: tuple[str, ...]
) -> None:
    from msgspec.structs import replace

    from sampan.desktop import cloning, saved
    from sampan.machine.saving import clone, suspension

    state = suspension.read(folder)
    wired = cloning.connected(state, saved.connected(folder), publish)

    def equip(claim: Claim) -> MachineSpec:
        claim.keep(_DISKS)
        disks = claim.folder / _DISKS
        disks.mkdir(exist_ok=True)
        return clone.variant(folder, state, new, disks)

    spec = replace(state.spec, name=new)
    goingon.run_here(settings, child, folder, spec, wired, equip=equip)
