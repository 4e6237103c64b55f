"""`sampan pause`."""

from __future__ import annotations

import click

from sampan.cli import target
from sampan.cli.settings import Settings
from sampan.errors import ExitCode

_EPILOG = """\b
Examples:
  sampan pause web
  sampan resume web
"""


@click.command("pause", epilog=_EPILOG + target.STATUS_OF_EACH)
@target.names
@click.pass_obj
def command(settings: Settings, names: tuple[str, ...]) -> ExitCode:
    """Stop the processors of machines; their memory stays. `sampan resume` lets them go on."""
    machines = target.store()

    def pause(name: str) -> str:
        record = target.healed(machines, name)
        target.reached(record).pause()
        return record.name

    return target.each(names, pause, json=settings.json)
