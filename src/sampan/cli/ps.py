"""`sampan ps`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from sampan.cli import jsonout, render, target
from sampan.cli.settings import Settings

if TYPE_CHECKING:
    from sampan.machine.registry.record import Record

_EPILOG = """\b
Examples:
  sampan ps
  sampan ps --all
  sampan ps -q | xargs sampan stop
  sampan ps --json -a

Status: starting, running, paused, ending; crashed (its last run did not end in order; what is left
of it is cleaned up by the next command about it); stopped, suspended (both with --all); damaged.

Exit status: 0, however the machines are.
"""
_HEADER = ("NAME", "STATUS", "FOR", "CPUS", "MEMORY", "ACCEL", "PORTS")
_SPANS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@click.command("ps", epilog=_EPILOG)
@click.option("-a", "--all", "everything", is_flag=True, help="Stopped and suspended ones, too.")
@click.option("-q", "--quiet", "only_names", is_flag=True, help="Names of those that run, or all.")
@click.pass_obj
def command(settings: Settings, everything: bool, only_names: bool) -> None:
    """List machines, what they do, and where their ports are."""
    from sampan.base.clock import SystemClock

    found = [each for each in target.store().records() if everything or _is_of_interest(each)]
    if only_names:
        sys.stdout.writelines(f"{each.name}\n" for each in found if everything or each.status.live)
        return
    now_s = SystemClock().wall_s()
    if settings.json:
        sys.stdout.writelines(jsonout.line(as_object(each)) for each in found)
        return
    rows = [_row(each, now_s) for each in found]
    click.echo(render.table(_HEADER, rows), nl=False)
    for each in found:
        if each.detail:
            click.echo(f"{each.name}: {each.detail}", err=True)


def _is_of_interest(record: Record) -> bool:
    from sampan.machine.registry.record import Status

    return record.status not in (Status.STOPPED, Status.SUSPENDED)


def _row(record: Record, now_s: float) -> tuple[str, ...]:
    spec = None if record.made is None else record.made.spec
    run = record.run
    ports = ", ".join(map(str, run.ports)) if run is not None and record.status.live else ""
    return (
        record.name,
        record.status.value,
        "" if run is None else span(now_s - (run.ended_s or run.started_s)),
        "" if spec is None else str(spec.cpus),
        "" if spec is None else f"{spec.mem_mib} MiB",
        "" if run is None else run.accel,
        ports,
    )


def as_object(record: Record) -> dict[str, object]:
    """A machine, for programs; the keys are part of the interface."""
    run, spec = record.run, None if record.made is None else record.made.spec
    return {
        "name": record.name,
        "status": record.status,
        "detail": record.detail,
        "folder": record.folder,
        "started_s": None if run is None else run.started_s,
        "ended_s": None if run is None else run.ended_s or None,
        "cpus": None if spec is None else spec.cpus,
        "mem_mib": None if spec is None else spec.mem_mib,
        "accel": None if run is None else run.accel or None,
        "pid": None if run is None or run.hypervisor is None else run.hypervisor.pid,
        "ports": () if run is None or not record.status.live else run.ports,
        "network": None if run is None else run.network or None,
    }


def span(seconds: float) -> str:
    """A time for people: its largest unit."""
    whole = max(0, int(seconds))
    size, unit = next((each for each in _SPANS if whole >= each[0]), _SPANS[-1])
    return f"{whole // size} {unit}"
