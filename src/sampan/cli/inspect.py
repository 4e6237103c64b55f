"""`sampan inspect`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from sampan.cli import target
from sampan.errors import ExitCode

if TYPE_CHECKING:
    from sampan.machine.registry.record import Record

_EPILOG = """\b
Examples:
  sampan inspect web
  sampan inspect web | jq -r '.run.ports[] | "\\(.bind):\\(.host_port)"'
  sampan inspect --spec web > web.json; sampan run --name web-b --spec web.json

`made` is what the machine is, `run` its run, or its last one: processes, control socket, the
command line of its hypervisor, ports, how it ended. Nothing is changed by this command.
"""


@click.command("inspect", epilog=_EPILOG + target.STATUS_OF_EACH)
@click.option("--spec", "only_spec", is_flag=True, help="What they are, for sampan run --spec.")
@target.names
def command(only_spec: bool, names: tuple[str, ...]) -> ExitCode:
    """Print all that is known of machines, as JSON: one object for each."""
    machines = target.store()
    shown = _spec if only_spec else _all
    for name in names:
        sys.stdout.write(shown(machines.find(name)))
    return ExitCode.DONE


def _all(record: Record) -> str:
    import msgspec

    data = msgspec.json.encode(record, enc_hook=str)
    return msgspec.json.format(data, indent=2).decode() + "\n"


def _spec(record: Record) -> str:
    from sampan.cli import networking
    from sampan.desktop import setup
    from sampan.machine import document
    from sampan.machine.error import MachineError

    if record.made is None:
        raise MachineError(record.detail, hint=f"forget it: sampan rm {record.name}")
    how = setup.read(record.folder) or setup.Setup()
    return document.to_json(networking.described(record.made.spec, how.network)).decode()
