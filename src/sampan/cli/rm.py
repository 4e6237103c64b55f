"""`sampan rm`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sampan.cli import jsonout, kill, target
from sampan.cli.settings import Settings
from sampan.errors import ExitCode

if TYPE_CHECKING:
    from sampan.machine.registry.record import Record
    from sampan.machine.registry.store import Removed, Store

_EPILOG = """\b
Examples:
  sampan rm web
  sampan rm --force web db
  sampan rm --disks web-2 web-3

Disks that Sampan made for a machine because of --disk size=… stay, where this command says: the next
sampan run --disk of the same system has them again. With --disks they go, too. Disks that were
named (--disk FILE) never go. Snapshots, what a suspended machine left, and the disks of clones go
with their machine.
"""


@click.command("rm", epilog=_EPILOG + target.STATUS_OF_EACH)
@click.option(
    "-f",
    "--force",
    is_flag=True,
    help="End those that run; pass over unknown names and over clones.",
)
@click.option("--disks", is_flag=True, help="Remove the disks that were made for them, too.")
@target.names
@click.pass_obj
def command(settings: Settings, force: bool, disks: bool, names: tuple[str, ...]) -> ExitCode:
    """Forget machines that do not run, and remove their files."""
    from sampan.machine.registry.store import NoSuchMachineError

    machines = target.store()
    doomed = set(names)

    def remove(name: str) -> str | None:
        try:
            record = target.healed(machines, name)
            if not force:
                _check_clones(machines, record, doomed)
            if force:
                kill.ended(machines, record)
            removed = machines.remove(record.name, disks=disks)
        except NoSuchMachineError:
            if not force:
                raise
            return None  # one that is not to be kept has gone by itself
        if settings.json:
            return jsonout.line(removed).rstrip()
        if not settings.quiet:
            _say(removed)
        return removed.name

    return target.each(names, remove)


def _check_clones(machines: Store, record: Record, doomed: set[str]) -> None:
    """Refuse to remove what others need, unless they go, too.

    Raises:
        MachineError: their disks are made from snapshots of this machine.
    """
    from sampan.desktop import cloning
    from sampan.machine.error import MachineError

    left = set(cloning.clones_of(record.folder, machines.records())) - doomed - {record.name}
    if left:
        names = sorted(left)
        raise MachineError(
            f"the disks of {', '.join(names)} hold only what differs from those of {record.name}",
            hint=f"forget the clones, too: sampan rm {record.name} {' '.join(names)}",
        )


def _say(removed: Removed) -> None:
    for path in removed.removed:
        click.echo(f"sampan: {removed.name}: removed its disk {path}", err=True)
    for path in removed.kept:
        click.echo(
            f"sampan: {removed.name}: its disk {path} stays; --disks would have removed it",
            err=True,
        )
