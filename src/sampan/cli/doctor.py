"""`sampan doctor`: which programs of the host are used, for what, and which are missing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import click

from sampan.cli import jsonout, render
from sampan.cli.settings import Settings
from sampan.errors import ToolMissingError


class Tool(NamedTuple):
    """A program of the host: what it is for; whether building and running need it."""

    name: str
    purpose: str
    required: bool


TOOLS = (
    Tool("apt-get", "composes packages from Debian", required=True),
    Tool("qemu-system-x86_64", "runs machines (amd64)", required=True),
    Tool("qemu-system-aarch64", "runs machines (arm64)", required=False),
    Tool("virtiofsd", "shares folders with machines", required=False),
    Tool("git", "names packages by the hash of their sources", required=False),
    Tool("buildah", "builds packages that have a Dockerfile", required=False),
    Tool("docker", "the same, through docker buildx", required=False),
)


class Finding(NamedTuple):
    """What was found of a tool: its path, or how to get it."""

    tool: Tool
    path: Path | None
    remedy: str


@click.command("doctor", epilog="\b\nExamples:\n  sampan doctor\n  sampan doctor --json\n")
@click.pass_obj
def command(settings: Settings) -> None:
    """Say which host programs Sampan uses, and how to get those that are missing.

    Ends with status 3 when one that every build or run needs is missing.
    """
    findings = [examine(tool) for tool in TOOLS]
    if settings.json:
        for finding in findings:
            sys.stdout.write(jsonout.line(_as_object(finding)))
    else:
        rows = [_as_row(finding) for finding in findings]
        click.echo(render.table(("PROGRAM", "USED FOR", "FOUND"), rows), nl=False)
    missing = [each for each in findings if each.tool.required and each.path is None]
    if missing:
        names = ", ".join(each.tool.name for each in missing)
        raise ToolMissingError(
            f"missing: {names}", hint="; ".join(dict.fromkeys(each.remedy for each in missing))
        )


def examine(tool: Tool) -> Finding:
    """Look for `tool` on this host."""
    from sampan.base import proc

    try:
        return Finding(tool, proc.find_tool(tool.name), "")
    except ToolMissingError as error:
        return Finding(tool, None, error.hint or "")


def _as_row(finding: Finding) -> tuple[str, str, str]:
    tool = finding.tool
    if finding.path is not None:
        found = str(finding.path)
    else:
        found = f"{'MISSING' if tool.required else 'no'}: {finding.remedy}"
    return tool.name, tool.purpose, found


def _as_object(finding: Finding) -> dict[str, object]:
    return {
        "program": finding.tool.name,
        "purpose": finding.tool.purpose,
        "required": finding.tool.required,
        "path": finding.path,
        "remedy": finding.remedy or None,
    }
