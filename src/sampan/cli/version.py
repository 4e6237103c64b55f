"""`sampan version`."""

from __future__ import annotations

import platform
import sys

import click

import sampan
from sampan.cli import jsonout
from sampan.cli.settings import Settings


@click.command("version", epilog="\b\nExamples:\n  sampan version\n  sampan version --short\n")
@click.option("--short", is_flag=True, help="Only the number.")
@click.pass_obj
def command(settings: Settings, short: bool) -> None:
    """Print the version."""
    if settings.json:
        facts = {"version": sampan.__version__, "python": platform.python_version()}
        sys.stdout.write(jsonout.line(facts))
    elif short:
        click.echo(sampan.__version__)
    else:
        click.echo(f"sampan {sampan.__version__} (Python {platform.python_version()})")
