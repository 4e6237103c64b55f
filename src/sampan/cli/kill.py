"""`sampan kill`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sampan.cli import target
from sampan.cli.settings import Settings
from sampan.errors import ExitCode

if TYPE_CHECKING:
    from sampan.machine.registry.record import Record
    from sampan.machine.registry.store import Store

_EPILOG = """\b
Examples:
  sampan kill web
  sampan kill web db
"""
_GRACE_S = 10.0


@click.command("kill", epilog=_EPILOG + target.STATUS_OF_EACH)
@target.names
@click.pass_obj
def command(settings: Settings, names: tuple[str, ...]) -> ExitCode:
    """End machines at once, as pulling the plug does; whoever runs them need not answer."""
    machines = target.store()

    def kill(name: str) -> str:
        record = target.healed(machines, name)
        ended(machines, record)
        return record.name

    return target.each(names, kill, json=settings.json)


def ended(machines: Store, record: Record) -> None:
    """End the machine, if it runs.

    Raises:
        MachineError: its files are damaged, so that it cannot be found.
    """
    from sampan.machine.error import MachineError

    if not target.runs(machines, record):
        return
    try:
        target.reached(record).kill()
    except MachineError:  # it is starting, ending, or whoever runs it does not answer
        machines.end_by_force(record.name)
    machines.wait_ended(record, _GRACE_S)
