"""`sampan stop`."""

from __future__ import annotations

import click

from sampan.cli import target
from sampan.cli.settings import Settings
from sampan.errors import ExitCode

_EPILOG = """\b
Examples:
  sampan stop web
  sampan stop --time 5 web db

Machines that do not run are left as they are. When this command ends they are stopped, in order or
not: what was ended by force is said on stderr.
"""
GRACE_S = 15.0  # for whoever runs the machine, beyond what the guest may take


@click.command("stop", epilog=_EPILOG + target.STATUS_OF_EACH)
@click.option(
    "-t", "--time", "time_s", type=click.FloatRange(min=0), metavar="SECONDS",
    help="How long a guest may take before it is ended.  [default: as its sampan run has it, 30]",
)  # fmt: skip
@target.names
@click.pass_obj
def command(settings: Settings, time_s: float | None, names: tuple[str, ...]) -> ExitCode:
    """Press the power buttons of machines, and wait until they have ended."""
    from sampan.machine.model import Ending
    from sampan.machine.supervise.protocol import NotAnsweringError

    machines = target.store()

    def stop(name: str) -> str:
        record = target.healed(machines, name)
        if not target.runs(machines, record):
            return record.name
        limit_s = None if time_s is None else time_s + GRACE_S
        client = target.reached(record)
        try:
            client.info()  # whoever does not answer this in time would be waited for without end
            end = client.stop(deadline_s=time_s, timeout_s=limit_s)
        except NotAnsweringError as error:
            stuck = isinstance(error.__cause__, TimeoutError)
            if stuck or not machines.wait_ended(record, GRACE_S):
                raise
            return record.name  # somebody else ended it meanwhile
        machines.wait_ended(record, GRACE_S)
        if end.ending is Ending.FORCED:
            click.echo(f"sampan: {record.name} did not power off in time, and was ended", err=True)
        return record.name

    return target.each(names, stop, json=settings.json, meanwhile="powers off …")
