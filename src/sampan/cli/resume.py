"""`sampan resume`."""

from __future__ import annotations

import click

from sampan.cli import target
from sampan.errors import ExitCode

_EPILOG = """\b
Examples:
  sampan resume web
"""


@click.command("resume", epilog=_EPILOG)
@target.names
def command(names: tuple[str, ...]) -> ExitCode:
    """Let machines go on that are paused."""
    machines = target.store()

    def resume(name: str) -> str:
        record = target.healed(machines, name)
        target.reached(record).resume()
        return record.name

    return target.each(names, resume)
