"""Which machines a command is about: the store, names and beginnings of names, several at once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from sampan.cli import jsonout, settings
from sampan.errors import ExitCode, SampanError

if TYPE_CHECKING:
    from sampan.machine.registry.record import Record
    from sampan.machine.registry.store import Store
    from sampan.machine.supervise.blocking import Client

STATUS = """
Exit status: 0 if it was done, 1 if not; 2 for wrong usage, or the beginning of a name that fits
several machines.
"""
"""The end of the help of commands about one machine, or none."""
STATUS_OF_EACH = """
Exit status: 0 if it was done for every name, else 1; 2 for wrong usage, or the beginning of a name
that fits several machines.
"""
"""The end of the help of commands about several."""
_AT_ONCE = 8
_SILENT_S = 2.0  # then it is said on a terminal what is waited for


class SeveralError(SampanError):
    """More than one machine could not be dealt with; the status is the gravest.

    Attributes:
        errors: what was wrong with each.
    """

    def __init__(self, errors: Sequence[SampanError]) -> None:
        self.errors = tuple(errors)
        super().__init__("\nsampan: ".join(error.message for error in errors))
        self.exit_code = max(error.exit_code for error in errors)  # type: ignore[misc]  # of this one


def store() -> Store:
    """The machines of this user."""
    from sampan import __version__
    from sampan.machine.registry.store import Store

    return Store(settings.machines_folder(), version=__version__)


def healed(machines: Store, name: str) -> Record:
    """The machine that is called `name`, or the only one that begins so; cleaned up after a crash.

    Raises:
        SampanError: there is none, or there are several.
    """
    return machines.heal(machines.find(name).name)


def reached(record: Record) -> Client:
    """A client for a machine that runs.

    Raises:
        SampanError: it does not run; the message says what it does.
    """
    from sampan.machine.supervise.blocking import Client

    if record.run is None or not record.status.live or record.run.control is None:
        raise not_running(record)
    return Client(record.run.control)


def runs(machines: Store, record: Record) -> bool:
    """Whether somebody runs the machine; one whose files are damaged may run, too."""
    from sampan.machine.registry.record import Status

    if record.status is Status.DAMAGED:
        return not machines.is_free(record)
    return record.status.live


def awake(record: Record) -> Client:
    """A client for a machine that runs, and whose processors do.

    Raises:
        SampanError: it does not run, or is paused.
    """
    from sampan.machine.error import MachineError
    from sampan.machine.registry.record import Status

    if record.status is Status.PAUSED:
        raise MachineError(f"{record.name} is paused", hint=f"sampan resume {record.name}")
    return reached(record)


def not_running(record: Record) -> SampanError:
    """What to say of a machine that would have to run."""
    from sampan.machine.error import MachineError
    from sampan.machine.registry.record import Status

    said = {
        Status.CRASHED: "has crashed", Status.STARTING: "is still starting",
        Status.ENDING: "is about to end",
    }.get(record.status, f"is {record.status}")  # fmt: skip
    detail = f": {record.detail}" if record.detail else ""
    name = record.name
    hint = {
        Status.STOPPED: f"start it: sampan start {name}",
        Status.CRASHED: f"start it again: sampan start {name}",
        Status.SUSPENDED: f"let it go on: sampan resume {name}",
        Status.DAMAGED: f"sampan kill {name} ends it, if it runs; sampan rm {name} forgets it",
    }.get(record.status, "sampan ps -a says what all machines do")
    return MachineError(f"{name} {said}{detail}", hint=hint)


def names(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give `command` the argument NAME…, as `names`."""
    return click.argument("names", metavar="NAME…", nargs=-1, required=True)(command)


def name(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give `command` the argument NAME, as `name`."""
    return click.argument("name", metavar="NAME")(command)


def each(
    names: Sequence[str],
    act: Callable[[str], str | None],
    *,
    json: bool = False,
    meanwhile: str = "",
) -> ExitCode:
    """Do something to several machines at once, and print what it says of each that it worked for.

    With `json` that is a name, and printed as an object. `meanwhile` is told on a terminal of
    machines that it takes long for.

    Raises:
        SampanError: it did not work for some; for the others it was done.
    """
    from concurrent.futures import ThreadPoolExecutor, wait

    errors = []
    wanted = list(dict.fromkeys(names))
    with ThreadPoolExecutor(min(_AT_ONCE, len(wanted))) as workers:
        for name, doing in [(name, workers.submit(act, name)) for name in wanted]:
            try:
                if meanwhile and sys.stderr.isatty() and wait([doing], _SILENT_S).not_done:
                    click.echo(f"sampan: {name} {meanwhile}", err=True)
                if said := doing.result():
                    click.echo(jsonout.line({"name": said}).rstrip() if json else said)
            except SampanError as error:
                errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise SeveralError(errors)
    return ExitCode.DONE
