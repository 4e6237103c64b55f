"""`sampan net events`: what happened on a network, and what happens."""

from __future__ import annotations

import datetime as dt
import sys
from typing import TYPE_CHECKING

import click

from sampan.cli import jsonout
from sampan.cli.net import place
from sampan.cli.settings import Settings

if TYPE_CHECKING:
    from sampan.net.runtime.control.client import Client
    from sampan.net.runtime.control.model import EventRecord

_EPILOG = """\b
Examples:
  sampan net events
  sampan net events --follow --kind flow
  sampan net events --json --after 120

A network keeps the last few thousand. Numbers go up by one: a gap is what was forgotten.
"""
_CLOCK_S = 1e9  # in 2001; nothing takes so long


@click.command("events", epilog=_EPILOG)
@click.option("-f", "--follow", is_flag=True, help="Go on as they happen, until Ctrl-C.")
@click.option("--after", default=0, metavar="NUMBER", help="Only those behind this one.")
@click.option("--kind", default="", metavar="PREFIX", help="Only kinds that begin so: flow, dns.")
@place.options
@click.pass_obj
def command(settings: Settings, follow: bool, after: int, kind: str, network: Client) -> None:
    """Print what happened: flows, leases, names, refusals."""
    from sampan.net.runtime.control.model import EventsAsked

    asked = EventsAsked(after=after, follow=follow, kind=kind)
    for each in network.events(asked):
        sys.stdout.write(jsonout.line(each) if settings.json else line(each))
        sys.stdout.flush()


def line(event: EventRecord) -> str:
    """One event for people: number, time, kind, and what is known of it."""
    known = " ".join(
        f"{name}={_shown(value)}" for name, value in event.data.items() if _says_something(value)
    )
    return f"{event.number:>6} {_clock(event.time_s)} {event.kind:<16} {known}".rstrip() + "\n"


def _clock(time_s: float) -> str:
    return f"{dt.datetime.fromtimestamp(time_s, tz=dt.UTC).astimezone():%H:%M:%S}"


def _says_something(value: object) -> bool:
    return value not in (None, "", [], {}, 0)


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(_shown, value))
    text = str(value)
    if isinstance(value, float):  # seconds: of the clock, or how many
        text = _clock(value) if value >= _CLOCK_S else f"{value:.3g}"
    return repr(text) if " " in text or not text.isprintable() else text
