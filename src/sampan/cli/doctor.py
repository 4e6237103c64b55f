"""`sampan doctor`: which programs of the host are used, for what, and which are missing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from sampan.cli import backend, jsonout, render
from sampan.cli.backend import Backend
from sampan.cli.settings import Settings
from sampan.errors import ToolMissingError

if TYPE_CHECKING:
    from sampan.machine.model import Arch


class Tool(NamedTuple):
    """A program of the host: what it is for; whether building and running need it."""

    name: str
    purpose: str
    required: bool


TOOLS = (
    Tool("apt-get", "composes packages from Debian", required=True),
    Tool("qemu-system-x86_64", "runs machines (amd64)", required=True),
    Tool("qemu-system-aarch64", "runs machines (arm64)", required=False),
    Tool("qemu-img", "makes, grows and clones disks in qcow2 files", required=False),
    Tool("virtiofsd", "shares folders with machines, where --virtiofsd says so", required=False),
    Tool("git", "names packages by the hash of their sources", required=False),
    Tool("buildah", "builds packages that have a Dockerfile", required=False),
    Tool("docker", "the same, through docker buildx", required=False),
)


class Finding(NamedTuple):
    """What was found of a tool: its path, or how to get it."""

    tool: Tool
    path: Path | None
    remedy: str


_EPILOG = """\b
Examples:
  sampan doctor
  sampan doctor --json
  sampan doctor --selftest
"""


@click.command("doctor", epilog=_EPILOG)
@click.option(
    "--selftest", is_flag=True,
    help="Boot a kernel of a few instructions with each hypervisor that is installed.",
)  # fmt: skip
@click.pass_obj
def command(settings: Settings, selftest: bool) -> None:
    """Say which host programs Sampan uses, and how to get those that are missing.

    Ends with status 3 when one that every build or run needs is missing; with --selftest, with
    status 1 when a hypervisor does not work. The drivers of vfkit and HyperKit were never run on a
    Mac: if you have one, please send what --selftest --json prints.
    """
    if selftest:
        _selftest(settings)
        return
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


def _selftest(settings: Settings) -> None:
    from sampan.cli.launch import runtime_folder
    from sampan.machine import selftest
    from sampan.machine.error import MachineError

    folder = runtime_folder(os.environ)
    results = [
        selftest.run(backend.driver(each, virtiofsd=None, state=None), arch, runtime_root=folder)
        for each, arch in _installed()
    ]
    if not results:
        raise ToolMissingError(
            "no hypervisor is installed", hint="sampan doctor says how to get one"
        )
    if settings.json:
        sys.stdout.writelines(map(jsonout.line, results))
    else:
        rows = [
            (each.driver, each.arch, each.accel, "works" if each.works else f"FAILS: {each.detail}")
            for each in results
        ]
        click.echo(render.table(("DRIVER", "MACHINE", "ACCEL", "RESULT"), rows), nl=False)
    failed = [f"{each.driver} ({each.arch})" for each in results if not each.works]
    if failed:
        raise MachineError(f"does not work here: {', '.join(failed)}")


def _installed() -> Iterator[tuple[Backend, Arch]]:
    """The hypervisors that are here, and what they can be tried with."""
    from sampan.base import proc
    from sampan.machine.accel import host_arch
    from sampan.machine.drivers.qemu_argv import program
    from sampan.machine.model import Arch

    for arch in Arch:
        if proc.has_tool(program(arch)):
            yield Backend.QEMU, arch
    for each in (Backend.VFKIT, Backend.HYPERKIT):
        if proc.has_tool(each.value):
            yield each, host_arch() or Arch.AMD64


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
