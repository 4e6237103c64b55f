"""`sampan snapshot`."""

from __future__ import annotations

import time

import click

from sampan.cli import jsonout, target
from sampan.cli.settings import Settings

_CREATE = """\b
Examples:
  sampan snapshot create web clean

It stands still meanwhile: half a second for 256 MiB, more for disks that have to be copied.
"""
_LIST = """\b
Examples:
  sampan snapshot ls web
  sampan --json snapshot ls web
"""
_REMOVE = """\b
Examples:
  sampan snapshot rm web clean
"""
_EPILOG = """\b
Examples:
  sampan snapshot create web clean
  sampan snapshot ls web
  sampan restore web clean
  sampan snapshot rm web clean

A snapshot has the memory of a machine and copies of its disks.
"""


@click.group("snapshot", epilog=_EPILOG + target.STATUS)
def command() -> None:
    """Save machines that go on, under names."""


@command.command("create", epilog=_CREATE + target.STATUS)
@target.name
@click.argument("tag")
def create(name: str, tag: str) -> None:
    """Save a running machine as TAG."""
    from sampan.desktop.saved import TagAsked
    from sampan.machine.supervise.model import Nothing

    record = target.healed(target.store(), name)
    target.reached(record).call("snapshot", TagAsked(tag=tag), Nothing, waits=True)
    click.echo(tag)


@command.command("ls", epilog=_LIST + target.STATUS)
@target.name
@click.pass_obj
def list_(settings: Settings, name: str) -> None:
    """List the snapshots of a machine."""
    from sampan.base.units import format_size
    from sampan.desktop import saved

    record = target.healed(target.store(), name)
    for each in saved.snapshots(record.folder):
        if settings.json:
            click.echo(jsonout.line(each), nl=False)
        else:
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(each.saved_s))
            click.echo(f"{each.tag:20} {when}  {format_size(each.size_bytes)}")


@command.command("rm", epilog=_REMOVE + target.STATUS)
@target.name
@click.argument("tags", metavar="TAG…", nargs=-1, required=True)
def remove(name: str, tags: tuple[str, ...]) -> None:
    """Forget snapshots of a machine that no clones are made from."""
    from sampan.desktop import cloning, saved
    from sampan.machine.error import MachineError

    machines = target.store()
    record = target.healed(machines, name)
    for tag in tags:
        clones = cloning.clones_of(saved.found(record.folder, tag), machines.records())
        if clones:
            raise MachineError(
                f"the disks of {', '.join(clones)} hold only what differs from the snapshot {tag}",
                hint=f"forget the clones first: sampan rm {' '.join(clones)}",
            )
        saved.remove_snapshot(record.folder, tag)
        click.echo(tag)
