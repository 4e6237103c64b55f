"""`sampan inspect`."""

from __future__ import annotations

import sys

import click

from sampan.cli import target
from sampan.errors import ExitCode

_EPILOG = """\b
Examples:
  sampan inspect web
  sampan inspect web | jq -r '.run.ports[] | "\\(.bind):\\(.host_port)"'
  sampan inspect web | jq .made.spec

`made` is what the machine is, `run` its run, or its last one: processes, control socket, the
command line of its hypervisor, ports, how it ended. Nothing is changed by this command.
"""


@click.command("inspect", epilog=_EPILOG)
@target.names
def command(names: tuple[str, ...]) -> ExitCode:
    """Print all that is known of machines, as JSON: one object for each."""
    import msgspec

    machines = target.store()
    for name in names:
        data = msgspec.json.encode(machines.find(name), enc_hook=str)
        sys.stdout.write(msgspec.json.format(data, indent=2).decode() + "\n")
    return ExitCode.DONE
