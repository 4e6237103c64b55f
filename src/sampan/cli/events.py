"""`sampan events`."""

from __future__ import annotations

import datetime as dt
import sys
import threading
from typing import TYPE_CHECKING

import click
import msgspec

from sampan.cli import jsonout, target
from sampan.cli.settings import Settings
from sampan.errors import ExitCode

if TYPE_CHECKING:
    from sampan.machine.view.event import Event

_EPILOG = """\b
Examples:
  sampan events web
  sampan events --follow --json web
  sampan events --after 12 web

A machine keeps the last thousand of its run. Numbers go up by one.
"""
_COMMON = ("event", "seq", "time_s", "machine")


@click.command("events", epilog=_EPILOG + target.STATUS_OF_EACH)
@click.option("-f", "--follow", is_flag=True, help="Go on until the machine ends, or Ctrl-C.")
@click.option("--after", default=0, metavar="NUMBER", help="Only those behind this one.")
@target.names
@click.pass_obj
def command(settings: Settings, follow: bool, after: int, names: tuple[str, ...]) -> ExitCode:
    """Print what happened to machines that run: changes of state, panics, errors of disks."""
    machines = target.store()
    lock = threading.Lock()

    def tell(name: str) -> None:
        client = target.reached(target.healed(machines, name))
        for event in client.events(after=after, follow=follow):
            with lock:
                sys.stdout.write(jsonout.line(event) if settings.json else line(event))
                sys.stdout.flush()

    return target.each(names, tell)


def line(event: Event) -> str:
    """One event for people: number, time, machine, kind, and what is known of it."""
    fields = msgspec.to_builtins(event)
    when = dt.datetime.fromtimestamp(event.time_s, tz=dt.UTC).astimezone()
    known = " ".join(
        f"{key}={_shown(value)}" for key, value in fields.items() if key not in _COMMON and value
    )
    kind = fields["event"]
    return f"{event.seq:>5} {when:%H:%M:%S} {event.machine} {kind} {known}".rstrip() + "\n"


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ",".join(f"{_shown(each)}" for each in value.values() if each)
    text = str(value)
    return repr(text) if " " in text or not text.isprintable() else text
