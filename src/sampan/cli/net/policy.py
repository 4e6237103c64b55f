"""`sampan net policy`: what machines may reach."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sampan.cli import jsonout
from sampan.cli.net import place
from sampan.cli.settings import Settings

if TYPE_CHECKING:
    from sampan.net.runtime.control.client import Client

_EPILOG = """\b
Examples:
  sampan net policy show
  sampan net policy set egress.yml
  sampan net policy check egress.yml

Flows that run go on; what begins from then on is decided by the new policy.
"""


@click.group("policy", epilog=_EPILOG)
def command() -> None:
    """Print and replace what machines may reach."""


@command.command("show", epilog="\b\nExamples:\n  sampan net policy show > egress.yml\n")
@place.options
@click.pass_obj
def show(settings: Settings, network: Client) -> None:
    """Print the policy, in the form of its file."""
    import msgspec
    import yaml

    found = network.policy()
    if settings.json:
        sys.stdout.write(jsonout.line(found))
    else:
        sys.stdout.write(yaml.safe_dump(msgspec.to_builtins(found), sort_keys=False))


@command.command("set", epilog="\b\nExamples:\n  sampan net policy set egress.yml\n")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@place.options
def set_(file: Path, network: Client) -> None:
    """Replace the policy by that of a file."""
    import msgspec

    from sampan.net.runtime.control.v1 import document
    from sampan.net.runtime.view import policyfile

    network.replace_policy(msgspec.to_builtins(document(policyfile.load(file))))


@command.command("check", epilog="\b\nExamples:\n  sampan net policy check egress.yml\n")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
def check(file: Path) -> None:
    """Say what is wrong with a file; no network is asked."""
    from sampan.net.runtime.view import policyfile

    policyfile.load(file)
