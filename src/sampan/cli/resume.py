"""`sampan resume`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sampan.cli import detach, goingon, target
from sampan.cli.settings import Settings
from sampan.errors import ExitCode

if TYPE_CHECKING:
    from sampan.machine.registry.record import Record

_EPILOG = """\b
Examples:
  sampan pause web
  sampan resume web
  sampan suspend web
  sampan resume web

A machine that was suspended goes on in the background; sampan console web shows it.
"""


@click.command("resume", epilog=_EPILOG + target.STATUS_OF_EACH)
@target.names
@click.pass_obj
def command(settings: Settings, names: tuple[str, ...]) -> ExitCode:
    """Let machines go on that are paused, or suspended."""
    from sampan.machine.registry.record import Status

    machines = target.store()
    child = detach.inherited()
    if child is not None:
        _run_here(settings, child, target.healed(machines, names[0]))
        return ExitCode.DONE

    def resume(name: str) -> str:
        record = target.healed(machines, name)
        if record.status is Status.SUSPENDED:
            return goingon.start(("resume", record.name))
        target.reached(record).resume()
        return record.name

    return target.each(names, resume, json=settings.json)


def _run_here(settings: Settings, child: detach.Detached, record: Record) -> None:
    from sampan.desktop import saved
    from sampan.machine.saving import suspension

    folder = record.folder / saved.SAVED
    spec = suspension.read(folder).spec
    goingon.run_here(
        settings, child, folder, spec, saved.connected(folder),
        made=record.made, began=saved.forget,
    )  # fmt: skip
