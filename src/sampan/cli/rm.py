"""`sampan rm`."""

from __future__ import annotations

import click

from sampan.cli import kill, target
from sampan.errors import ExitCode

_EPILOG = """\b
Examples:
  sampan rm web
  sampan rm --force web db
  sampan rm web-2 web-3

Disks that Sampan made for a machine, and snapshots, go with it; nothing else does.
"""


@click.command("rm", epilog=_EPILOG)
@click.option("-f", "--force", is_flag=True, help="End those that run; pass over unknown names.")
@target.names
def command(force: bool, names: tuple[str, ...]) -> ExitCode:
    """Forget machines that do not run, and remove their files."""
    from sampan.machine.registry.store import NoSuchMachineError

    machines = target.store()

    def remove(name: str) -> str | None:
        try:
            record = target.healed(machines, name)
            if force:
                kill.ended(machines, record)
            machines.remove(record.name)
        except NoSuchMachineError:
            if not force:
                raise
            return None  # one that is not to be kept has gone by itself
        return record.name

    return target.each(names, remove)
