"""The parts of the reference that are written from the code: the YAML schema, the commands.

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
from sampan.spec.schema import json_schema


def write(folder: Path) -> None:
    """Write all generated parts into `folder`."""
    folder.mkdir(exist_ok=True)
    (folder / "yaml.md").write_text("\n".join(_yaml(json.loads(json_schema()))))
    (folder / "commands.md").write_text("\n".join(_commands()))


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


def _help(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"## {context.command_path}\n"
    yield "```text"
    yield command.get_help(context)
    yield "```\n"
