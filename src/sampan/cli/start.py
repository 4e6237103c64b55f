"""`sampan start`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sampan.base import log
from sampan.cli import (
    detach,
    device,
    goingon,
    jsonout,
    launch,
    ps,
    target,
)
from sampan.cli.settings import Settings
from sampan.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from sampan.machine.registry.record import Made, Record

_log = log.get(__name__)
_EPILOG = """\b
Examples:
  sampan start web
  sampan start web db
  sampan start --attach web
  sampan --json start web | jq -r '.ports[] | "\\(.bind):\\(.host_port)"'

Everything is as its sampan run had it: processors, disks, shares, network, published ports. A machine
that runs already is left as it is. sampan resume is for those that are suspended.

Without --attach the machines run in the background, and this command ends when they run: with 0, or
with the status of what was in the way, which is said on stderr. With --attach the console is here, and
keys, signals and the exit status are those of sampan run.
"""


@click.command("start", epilog=_EPILOG)
@click.option("-a", "--attach", is_flag=True, help="Be on the console of the machine, here.")
@target.names
@click.pass_obj
def command(settings: Settings, attach: bool, names: tuple[str, ...]) -> ExitCode:
    """Boot machines that are known and do not run, as they were run before."""
    machines = target.store()
    child = detach.inherited()
    if child is not None:
        return _run(settings, target.healed(machines, names[0]), child)
    if attach:
        if len(names) > 1:
            raise UsageError("there is one console here", hint="attach one machine at a time")
        return _run(settings, target.healed(machines, names[0]), None)

    def start(name: str) -> str:
        record = target.healed(machines, name)
        if not record.status.live:
            words = (*settings.globals(), "start", record.name)
            goingon.start(words, f"{record.name} did not start")
        if settings.json:
            return jsonout.line(ps.as_object(machines.record(record.name))).rstrip()
        return record.name

    return target.each(names, start)


def _run(settings: Settings, record: Record, child: detach.Detached | None) -> ExitCode:
    """Run the machine in this process: in the background for `child`, else on this terminal."""
    from sampan.desktop import setup
    from sampan.machine.registry.claim import Wish
    from sampan.machine.state import runtime_root

    made = _startable(record)
    how = setup.read(record.folder) or setup.Setup()
    if made.cwd is not None:
        try:
            os.chdir(made.cwd)
        except OSError as error:  # it matters only for what was said relative to it
            _log.info("%s is started from here, not from where it was made: %s", record.name, error)
    root = runtime_root(launch.runtime_folder(os.environ))
    wish = Wish(
        name=record.name, exact=True, words=made.words, cwd=made.cwd, runtime_root=root
    )  # fmt: skip
    with ExitStack() as stack:
        claim = stack.enter_context(target.store().claim(made.spec, wish))
        _check_files(made)
        path = how.console if child is not None else None
        console = stack.enter_context(device.console_output(path))
        return launch.attended(settings, claim.spec, how, claim, child, console)


def _startable(record: Record) -> Made:
    """What the machine is.

    Raises:
        MachineError: that is not known any more, or it runs.
    """
    from sampan.machine.error import MachineError
    from sampan.machine.registry.record import Status

    if record.status.live:
        raise MachineError(
            f"{record.name} runs already", hint=f"its console: sampan console {record.name}"
        )
    if record.made is None or record.status is Status.DAMAGED:
        raise MachineError(record.detail, hint=f"forget it: sampan rm {record.name}")
    return record.made


def _check_files(made: Made) -> None:
    """Refuse a machine of which a file is gone.

    Raises:
        MachineError: one is; the message says which, the hint what the machine was started by.
    """
    from sampan.machine.error import MachineError

    for what, path in _files(made):
        if not path.is_file():
            typed = shlex.join(("sampan", *made.words)) if made.words else "another program"
            place = f", in {made.cwd}" if made.cwd is not None else ""
            raise MachineError(
                f"{made.spec.name} cannot start: its {what} {path} is not there any more",
                hint=f"put it there again; the machine was made by {typed}{place}",
            )


def _files(made: Made) -> Iterator[tuple[str, Path]]:
    spec = made.spec
    yield "kernel", spec.kernel
    if spec.initrd is not None:
        yield "initrd", spec.initrd
    yield from (("disk", each.path) for each in spec.disks)
    yield from (("disc", each) for each in spec.discs)
