"""`sampan net dns`: names that a network's DNS answers besides the machines' own."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from sampan.cli import jsonout, render
from sampan.cli.net import place
from sampan.cli.settings import Settings

if TYPE_CHECKING:
    from sampan.net.runtime.control.client import Client

_EPILOG = """\b
Examples:
  sampan net dns add db.test 192.168.65.9
  sampan net dns ls
  sampan net dns rm db.test
"""


@click.group("dns", epilog=_EPILOG)
def command() -> None:
    """Add and remove names."""


@command.command("ls", epilog="\b\nExamples:\n  sampan net dns ls\n")
@place.options
@click.pass_obj
def ls(settings: Settings, network: Client) -> None:
    """List the names that were added."""
    found = network.names()
    if settings.json:
        sys.stdout.writelines(map(jsonout.line, found))
        return
    rows = [(each.name, ", ".join(each.addresses)) for each in found]
    click.echo(render.table(("NAME", "ADDRESSES"), rows), nl=False)


@command.command("add", epilog="\b\nExamples:\n  sampan net dns add db.test 192.168.65.9 fd00::9\n")
@click.argument("called", metavar="NAME")
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
@place.options
def add(called: str, addresses: tuple[str, ...], network: Client) -> None:
    """Answer a name with these addresses, instead of what it had."""
    from sampan.net.runtime.control.model import NameRecord

    network.add_name(NameRecord(name=called, addresses=addresses))


@command.command("rm", epilog="\b\nExamples:\n  sampan net dns rm db.test\n")
@click.argument("called", nargs=-1, required=True, metavar="NAME...")
@place.options
def rm(called: tuple[str, ...], network: Client) -> None:
    """Answer names no more; they may still exist elsewhere."""
    for each in called:
        network.remove_name(each)
