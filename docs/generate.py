"""The parts of the reference that are written from the code: the YAML schema, commands, drivers.

They are written to `_generated`, which is not tracked, when the documentation is built.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from sampan.cli import main
from sampan.cli.verb import VERBS
from sampan.machine.driver import Capability
from sampan.machine.drivers.hyperkit import HyperKitDriver
from sampan.machine.drivers.qemu import QemuDriver
from sampan.machine.drivers.vfkit import VfkitDriver
from sampan.spec.schema import json_schema

DRIVERS = (QemuDriver, VfkitDriver, HyperKitDriver)
CAPABILITIES = {
    Capability.POWER_BUTTON: "press the power button",
    Capability.PAUSE: "pause and resume, memory stays",
    Capability.SUSPEND: "suspend to a file, and go on in a new process",
    Capability.SNAPSHOT: "named snapshots, with memory",
    Capability.RELOCATE: "move to another process while it runs",
    Capability.DISKS: "disks",
    Capability.QCOW2: "disks in qcow2 files",
    Capability.GROW_DISK: "grow a disk while it runs",
    Capability.DISCS: "ISO images",
    Capability.AGENT: "a channel for the guest's agent (`sampan exec`, `cp`)",
    Capability.VSOCK: "vsock",
    Capability.VSOCK_SOCKETS: "…whose sockets the hypervisor makes",
    Capability.VIRTIOFS: "shared folders by virtiofs",
    Capability.OWNERS: "…with owners kept where one says (`owners=`)",
    Capability.EVENTS: "…with the host's changes told to the guest (`events`)",
    Capability.PLAN9: "shared folders by 9P",
    Capability.DISPLAY: "a window",
    Capability.USB: "a controller for USB devices",
    Capability.DEVICES: "words for the hypervisor itself (`--device`)",
    Capability.PUBLISH: "publish ports without our network",
    Capability.EXPOSE: "…and while the machine runs (`vm.expose`)",
    Capability.LINK_FD: "networks by streams",
    Capability.LINK_PATH: "networks by vhost-user",
    Capability.LINK_DATAGRAM: "networks by datagrams",
    Capability.LINK_VPNKIT: "networks by VPNKit's protocol",
    Capability.HOST_INTERFACE: "TAP devices and bridges of the host",
}


def write(folder: Path) -> None:
    """Write all generated parts into `folder`."""
    folder.mkdir(exist_ok=True)
    (folder / "yaml.md").write_text("\n".join(_yaml(json.loads(json_schema()))))
    (folder / "commands.md").write_text("\n".join(_commands()))
    (folder / "drivers.md").write_text("\n".join(_drivers()))


def _yaml(schema: dict[str, Any]) -> Iterator[str]:
    yield from _record("The top level", schema)
    for name, definition in schema["$defs"].items():
        if "properties" in definition:
            yield from _record(name, definition)


def _record(title: str, record: dict[str, Any]) -> Iterator[str]:
    required = record.get("required", [])
    yield f"## {title}\n"
    if "description" in record:
        yield f"{record['description']}\n"
    yield "| key | type | meaning |"
    yield "|---|---|---|"
    for key, value in record["properties"].items():
        meaning = value.get("description", "").replace("|", "\\|")
        needed = " **required**" if key in required else ""
        yield f"| `{key}` | {_type(value)} | {meaning}{needed} |"
    yield ""


def _type(value: dict[str, Any]) -> str:
    """A JSON Schema type in a few words."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in value:
        return ", ".join(f"`{choice}`" if choice else "empty" for choice in value["enum"])
    for choice in ("anyOf", "oneOf"):
        if choice in value:
            return " or ".join(_type(each) for each in value[choice])
    kind = value.get("type", "any")
    if kind == "array":
        return f"list of {_type(value.get('items', {}))}"
    if kind == "object" and isinstance(value.get("additionalProperties"), dict):
        return f"map of {_type(value['additionalProperties'])}"
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _commands() -> Iterator[str]:
    root = click.Context(main.sampan, info_name="sampan", **main.sampan.context_settings)
    yield from _help(main.sampan, root)
    for verb in VERBS:
        yield from _tree(verb.name, main.load(verb), root)


def _tree(name: str, command: click.Command, parent: click.Context) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=parent)
    yield from _help(command, context)
    if isinstance(command, click.Group):
        for sub, below in command.commands.items():
            yield from _tree(sub, below, context)


def _drivers() -> Iterator[str]:
    names = [driver.name for driver in DRIVERS]
    yield f"| what | flag | {' | '.join(names)} |"
    yield f"|---|---|{'---|' * len(names)}"
    for capability, meaning in CAPABILITIES.items():
        can = ("yes" if capability in each.capabilities else "**no**" for each in DRIVERS)
        yield f"| {meaning} | `{capability}` | {' | '.join(can)} |"
    yield ""


def _help(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"## {context.command_path}\n"
    yield "```text"
    yield command.get_help(context)
    yield "```\n"
