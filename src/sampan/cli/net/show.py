"""`sampan net leases`, `links`, `stats`, `info` and `shutdown`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from sampan.cli import jsonout, render
from sampan.cli.net import place
from sampan.cli.settings import Settings

if TYPE_CHECKING:
    from sampan.net.runtime.control.client import Client


@click.command("leases", epilog="\b\nExamples:\n  sampan net leases\n")
@place.options
@click.pass_obj
def leases(settings: Settings, network: Client) -> None:
    """List the addresses that DHCP gave."""
    found = network.leases()
    if settings.json:
        sys.stdout.writelines(map(jsonout.line, found))
        return
    rows = [(each.address, each.mac, each.name or "-", span(each.remaining_s)) for each in found]
    click.echo(render.table(("ADDRESS", "MAC", "NAME", "REMAINING"), rows), nl=False)


@click.command("links", epilog="\b\nExamples:\n  sampan net links --json\n")
@place.options
@click.pass_obj
def links(settings: Settings, network: Client) -> None:
    """List the machines' links."""
    from sampan.base.units import format_size

    found = network.links()
    if settings.json:
        sys.stdout.writelines(map(jsonout.line, found))
        return
    rows = [
        (each.name, str(each.mtu), ", ".join(each.macs) or "-", str(each.flows),
         format_size(each.sent), format_size(each.received))
        for each in found
    ]  # fmt: skip
    click.echo(render.table(("LINK", "MTU", "MACS", "FLOWS", "SENT", "RECEIVED"), rows), nl=False)


@click.command(
    "stats",
    epilog="\b\nExamples:\n  sampan net stats\n  sampan net stats --prometheus\n",
)
@click.option("--prometheus", is_flag=True, help="As Prometheus reads them.")
@place.options
@click.pass_obj
def stats(settings: Settings, prometheus: bool, network: Client) -> None:
    """Print the counters."""
    if prometheus:
        sys.stdout.write(network.metrics())
        return
    found = network.stats()
    if settings.json:
        sys.stdout.write(jsonout.line(found))
        return
    rows = [("uptime", span(found.uptime_s))]
    rows += [(name, str(value)) for name, value in (found.gauges | found.counters).items()]
    click.echo(render.table(("WHAT", "HOW MUCH"), rows), nl=False)


@click.command("info", epilog="\b\nExamples:\n  sampan net info\n")
@place.options
@click.pass_obj
def info(settings: Settings, network: Client) -> None:
    """Say what a network is."""
    import msgspec

    found = network.info()
    if settings.json:
        sys.stdout.write(jsonout.line(found))
        return
    rows = [
        (name, ", ".join(value) if isinstance(value, tuple) else str(value))
        for name, value in msgspec.structs.asdict(found).items()
    ]
    click.echo(render.table(("WHAT", "VALUE"), rows), nl=False)


@click.command("shutdown", epilog="\b\nExamples:\n  sampan net shutdown --name web\n")
@place.options
def shutdown(network: Client) -> None:
    """End a network: its forwards, flows and links."""
    network.shutdown()


def span(seconds: float) -> str:
    """A length of time, in its two largest units."""
    whole = max(0, int(seconds))
    for size, large, small, part in ((86400, "d", "h", 3600), (3600, "h", "m", 60), (60, "m", "s", 1)):  # fmt: skip
        if whole >= size:
            return f"{whole // size}{large}{whole % size // part:02}{small}"
    return f"{whole}s"
