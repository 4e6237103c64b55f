"""`sampan net http`: the requests that pass in clear text."""

from __future__ import annotations

import datetime as dt
import sys
from typing import TYPE_CHECKING, Any

import click

from sampan.cli import jsonout
from sampan.cli.net import place
from sampan.cli.settings import Settings

if TYPE_CHECKING:
    from sampan.net.runtime.control.client import Client
    from sampan.net.runtime.control.model import EventRecord

_EPILOG = """\b
Examples:
  sampan net http
  sampan net http --once --json

Flows that began before anybody looked are not followed. Encrypted ones are a line each, with the
name of their server; of the others each exchange is one, once it is over.
"""
_KINDS = ("http.", "tls.")


@click.command("http", epilog=_EPILOG)
@click.option("--once", is_flag=True, help="Print what there was, and end.")
@place.options
@click.pass_obj
def command(settings: Settings, once: bool, network: Client) -> None:
    """Follow HTTP requests and responses, until Ctrl-C."""
    from sampan.net.runtime.control.model import EventsAsked

    network.view_http()
    for each in network.events(EventsAsked(follow=not once)):
        if each.kind.startswith(_KINDS):
            sys.stdout.write(jsonout.line(each) if settings.json else line(each))
            sys.stdout.flush()


def line(event: EventRecord) -> str:
    """One exchange, or one encrypted connection, for people."""
    when = dt.datetime.fromtimestamp(event.time_s, tz=dt.UTC).astimezone()
    said = event.data
    text = _exchange(said["exchange"]) if "exchange" in said else f"TLS  {said['name']}"
    shown = "".join(each if each.isprintable() else "?" for each in text)
    return f"{when:%H:%M:%S} {said['client']:<15} {shown}\n"


def _exchange(said: dict[str, Any]) -> str:
    from sampan.base.units import format_size

    spent_s = sum(said[name] or 0.0 for name in ("connect_s", "send_s", "wait_s", "receive_s"))
    outcome = str(said["status"]) if said["status"] else f"({said['cut'] or 'no response'})"
    size = format_size(said["response_body_bytes"])
    return f"{said['method']:<4} {said['url']}  {outcome}  {size}  {spent_s * 1000:.0f} ms"
