"""`sampan net flows` and `http`: who talks to whom, now."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from sampan.cli import jsonout, render
from sampan.cli.net import place
from sampan.cli.net.show import span
from sampan.cli.settings import Settings

if TYPE_CHECKING:
    from sampan.net.runtime.control.client import Client
    from sampan.net.runtime.view.flowtable import FlowRecord

_EPILOG = """\b
Examples:
  sampan net flows
  sampan net flows --sort received
  sampan net flows --follow --json

On a terminal the table is refreshed until Ctrl-C. With --follow the beginnings and ends of
flows are printed, a line each, as they happen. SENT and RECEIVED are the machine's.
"""
_SORTS: dict[str, Callable[[FlowRecord], Any]] = {
    "age": lambda each: each.age_s,
    "sent": lambda each: -each.sent,
    "received": lambda each: -each.received,
    "traffic": lambda each: -(each.sent + each.received),
    "machine": lambda each: (each.machine, each.machine_port),
    "peer": lambda each: (each.peer, each.peer_port),
}
_HEADER = ("KIND", "MACHINE", "PEER", "STATE", "SENT", "RECEIVED", "AGE", "NOTE")
_MARGIN = 3  # lines of a terminal that are not the table's


@click.command("flows", epilog=_EPILOG)
@click.option(
    "--sort", type=click.Choice(list(_SORTS)), default="age", show_default=True,
    help="What comes first: the youngest, or the largest.",
)  # fmt: skip
@click.option("--once", is_flag=True, help="Print the table once, on a terminal too.")
@click.option("-f", "--follow", is_flag=True, help="Print flows as they begin and end.")
@click.option(
    "--interval", type=click.FloatRange(min=0.1), default=1.0, show_default=True,
    metavar="SECONDS", help="How often the table is refreshed.",
)  # fmt: skip
@place.options
@click.pass_obj
def command(
    settings: Settings, sort: str, once: bool, follow: bool, interval: float, network: Client
) -> None:
    """Show the connections there are."""
    if follow:
        _follow(settings, network)
    elif settings.json:
        sys.stdout.writelines(map(jsonout.line, _sorted(network, sort)))
    elif sys.stdout.isatty() and not once:
        render.live(lambda lines: _live(network, sort, lines), interval_s=interval)
    else:
        click.echo(table(_sorted(network, sort)), nl=False)


def _follow(settings: Settings, network: Client) -> None:
    from sampan.cli.net.events import line
    from sampan.net.runtime.control.model import EventsAsked

    for each in network.events(EventsAsked(follow=True, kind="flow")):
        sys.stdout.write(jsonout.line(each) if settings.json else line(each))
        sys.stdout.flush()


def _sorted(network: Client, sort: str) -> list[FlowRecord]:
    return sorted(network.flows(), key=_SORTS[sort])


def _live(network: Client, sort: str, lines: int) -> str:
    """The table as far as a terminal of so many lines has room, below a summary."""
    found = _sorted(network, sort)
    room = max(1, lines - _MARGIN)
    left_out = f", {len(found) - room} of them not shown" if len(found) > room else ""
    when = time.strftime("%H:%M:%S")
    return f"{len(found)} flows{left_out}   {when}   Ctrl-C ends\n{table(found[:room])}"


def table(flows: list[FlowRecord]) -> str:
    """The flows, a row each."""
    from sampan.base.units import format_size

    processes = _processes(flows)
    rows = [
        (
            str(each.kind),
            _end(each.machine_name or each.machine, each.machine_port),
            _end(each.names[0] if each.names else each.peer, each.peer_port),
            each.state,
            format_size(each.sent),
            format_size(each.received),
            span(each.age_s),
            each.verdict or processes.get(each.id, "-"),
        )
        for each in flows
    ]
    return render.table(_HEADER, rows)


def _processes(flows: list[FlowRecord]) -> dict[int, str]:
    """Who began the forwards among `flows`, as far as that can be found out, by the flow's id."""
    from sampan.net.runtime.forward import owner

    found = {each.id: str(owner.process(each.pid)) for each in flows if each.pid}
    ends = {each.host: each.id for each in flows if each.kind == "forward" and each.host}
    if ends:
        found |= {ends[end]: str(who) for end, who in owner.of_clients(ends).items()}
    return found


def _end(name: str, port: int) -> str:
    shown = f"[{name}]" if ":" in name else name
    return f"{shown}:{port}" if port else shown
