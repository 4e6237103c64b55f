"""`sampan cp`."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import click

from sampan.cli import exec as exec_
from sampan.cli import target
from sampan.errors import ExitCode, UsageError

_EPILOG = """\b
Examples:
  sampan cp web:/var/log/nginx.log .
  sampan cp site web:/srv/site
  sampan cp --container db backup.sql web:/tmp

To a folder that is there, the copy goes into it under its own name; else it is called as the
target. Modes and times are kept, owners are not; links below what is copied stay links. The
machine's system needs the service sampan/agent.
"""


class _Side(NamedTuple):
    """One side of a copy: a path of a machine, or of this computer."""

    machine: str
    path: str


@click.command("cp", epilog=_EPILOG + target.STATUS)
@click.option("--container", default="", metavar="SERVICE", help="Paths are in its container.")
@click.option(
    "--wait", default=30.0, show_default=True, type=click.FloatRange(min=0), metavar="SECONDS",
    help="How long the agent may take to answer.",
)  # fmt: skip
@click.argument("source", metavar="[NAME:]SOURCE")
@click.argument("goal", metavar="[NAME:]TARGET")
def command(container: str, wait: float, source: str, goal: str) -> ExitCode:
    """Copy files and folders to a machine that runs, or from it."""
    start, end = _side(source), _side(goal)
    if bool(start.machine) == bool(end.machine):
        raise UsageError(
            "one side of a copy is in a machine, the other here",
            hint="say sampan cp web:/path path, or sampan cp path web:/path",
        )
    asyncio.run(_copy(start, end, container, wait))
    return ExitCode.DONE


def _side(text: str) -> _Side:
    """`NAME:PATH`, unless a slash comes before the colon."""
    name, colon, path = text.partition(":")
    if not colon or "/" in name or not name:
        return _Side("", text)
    if not path.startswith("/"):
        raise UsageError(f"{text}: a path in a machine begins with a slash")
    return _Side(name, path)


async def _copy(start: _Side, end: _Side, container: str, wait_s: float) -> None:
    record = target.healed(target.store(), start.machine or end.machine)
    async with exec_.reached(target.awake(record).path, wait_s) as agent:
        if start.machine:
            await agent.copy_from(start.path, end.path, container=container)
        else:
            await agent.copy_to(start.path, end.path, container=container)
