"""`sampan stats`."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from sampan.cli import jsonout, render, target
from sampan.cli.settings import Settings
from sampan.errors import ExitCode, SampanError, UsageError

if TYPE_CHECKING:
    from sampan.machine.registry.store import Store
    from sampan.machine.view.metrics import Metrics

_EPILOG = """\b
Examples:
  sampan stats
  sampan stats --follow web
  sampan stats --json web
  sampan stats --prometheus > /var/lib/node_exporter/sampan.prom

CPU is in percent of one processor of the host: since the start, with --follow since the line
before. MEMORY is that of the host which is in use, of what the guest may have.
"""
_HEADER = ("NAME", "CPU", "CPU TIME", "MEMORY", "OF", "READ", "WRITTEN", "UP")


@click.command("stats", epilog=_EPILOG + target.STATUS)
@click.option("-f", "--follow", is_flag=True, help="Go on until the machines end, or Ctrl-C.")
@click.option(
    "--interval", type=click.FloatRange(min=0.1), default=2.0, show_default=True,
    metavar="SECONDS", help="How often, with --follow.",
)  # fmt: skip
@click.option("--prometheus", is_flag=True, help="Print Prometheus' text format.")
@click.argument("names", metavar="[NAME…]", nargs=-1)
@click.pass_obj
def command(
    settings: Settings, follow: bool, interval: float, prometheus: bool, names: tuple[str, ...]
) -> ExitCode:
    """Print what machines use and do: processor time, memory, disks; of all that run, or some."""
    if prometheus and settings.json:
        raise UsageError("--prometheus and --json are two formats", hint="say one of them")
    machines = target.store()
    before: Mapping[str, Metrics] = {}
    while True:
        # once it goes on, machines may end: that is no error
        found = _read(machines, names, strict=not before)
        sys.stdout.write(_text(found, before, prometheus=prometheus, json=settings.json))
        sys.stdout.flush()
        if not follow or not found:
            return ExitCode.DONE
        before = {each.machine: each for each in found}
        threading.Event().wait(interval)


def _read(machines: Store, names: Sequence[str], *, strict: bool) -> list[Metrics]:
    """The counters of the machines called `names`, or of all that run."""
    found = []
    for name in dict.fromkeys(names):
        try:
            found.append(target.reached(target.healed(machines, name)).metrics())
        except SampanError:
            if strict:
                raise
    for record in () if names else machines.records():
        if record.status.live and record.run is not None and record.run.control is not None:
            try:
                found.append(target.reached(record).metrics())
            except SampanError as error:  # it has just ended, or is stuck: the others are not
                click.echo(f"{record.name}: {error.message}", err=True)
    return found


def _text(
    found: Sequence[Metrics], before: Mapping[str, Metrics], *, prometheus: bool, json: bool
) -> str:
    from sampan.machine.view.prometheus import render as as_prometheus

    if prometheus:
        return as_prometheus(found)
    if json:
        return "".join(map(jsonout.line, found))
    return render.table(_HEADER, list(_rows(found, before)))


def _rows(
    found: Sequence[Metrics], before: Mapping[str, Metrics]
) -> Iterator[tuple[str, ...]]:  # fmt: skip
    from sampan.base.units import format_size
    from sampan.cli.ps import span

    for each in found:
        yield (
            each.machine,
            f"{100 * _share(each, before.get(each.machine)):.1f} %",
            f"{each.cpu_s:.1f} s",
            format_size(each.rss_bytes),
            format_size(each.memory_bytes),
            format_size(sum(disk.read_bytes for disk in each.disks)),
            format_size(sum(disk.written_bytes for disk in each.disks)),
            span(each.uptime_s),
        )


def _share(now: Metrics, before: Metrics | None) -> float:
    """How much of one processor was used, since `before` or since the start."""
    if before is not None and now.uptime_s > before.uptime_s and now.cpu_s >= before.cpu_s:
        return (now.cpu_s - before.cpu_s) / (now.uptime_s - before.uptime_s)
    return now.cpu_s / now.uptime_s if now.uptime_s > 0 else 0.0
