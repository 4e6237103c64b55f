"""`sampan logs`."""

from __future__ import annotations

import sys
from contextlib import suppress

import click

from sampan.cli import target
from sampan.errors import ExitCode

_EPILOG = """\b
Examples:
  sampan logs web
  sampan logs --tail 20 --follow web

Of a machine that says much the last megabytes are kept; of one that ran several times, its last run.
"""


@click.command("logs", epilog=_EPILOG + target.STATUS_OF_EACH)
@click.option("-f", "--follow", is_flag=True, help="Go on until the machine ends, or Ctrl-C.")
@click.option(
    "-n", "--tail", type=click.IntRange(min=0), metavar="LINES", help="The last lines only."
)
@target.names
def command(follow: bool, tail: int | None, names: tuple[str, ...]) -> ExitCode:
    """Print what the consoles of machines said, as plain text; of those that have ended, too."""
    from sampan.machine.registry import logfile, place
    from sampan.machine.registry.store import NoSuchMachineError

    machines = target.store()
    output = sys.stdout.buffer
    for name in names:
        record = target.healed(machines, name)
        path = record.folder / place.CONSOLE_LOG

        def goes_on(known: str = record.name) -> bool:
            with suppress(NoSuchMachineError):
                return machines.record(known).status.live
            return False

        pieces = (
            logfile.follow(path, goes_on, tail=tail) if follow else [logfile.read(path, tail=tail)]
        )
        for data in pieces:
            output.write(data)
            output.flush()
    return ExitCode.DONE
