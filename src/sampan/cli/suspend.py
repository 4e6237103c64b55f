"""`sampan suspend`."""

from __future__ import annotations

import click

from sampan.cli import target
from sampan.cli.settings import Settings
from sampan.errors import ExitCode

_EPILOG = """\b
Examples:
  sampan suspend web
  sampan resume web

Its memory is kept in its folder, its disks stay as they are; sampan rm forgets what was saved.
What cannot be saved: a machine with shared folders.
"""
_CLEANUP_S = 10.0


@click.command("suspend", epilog=_EPILOG + target.STATUS_OF_EACH)
@target.names
@click.pass_obj
def command(settings: Settings, names: tuple[str, ...]) -> ExitCode:
    """Save machines to disk and end them; `sampan resume` goes on with them."""
    from sampan.machine.supervise.model import Nothing

    machines = target.store()

    def suspend(name: str) -> str:
        record = target.healed(machines, name)
        target.reached(record).call("suspend", Nothing(), Nothing, waits=True)
        machines.wait_ended(record, _CLEANUP_S)
        return record.name

    return target.each(names, suspend, json=settings.json, meanwhile="is being saved …")
