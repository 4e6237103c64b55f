"""Where in a document a fault is, and what was meant: a message of msgspec as a `Problem`.

msgspec says where in the tree (``Expected `int`, got `str` - at `$.disks[0].size` ``); this finds the
line, in YAML and in JSON, which is YAML for this purpose. Pure.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

import msgspec
import yaml

from sampan.errors import DocumentError, Problem, Where
from sampan.machine.device import Disk, Share, Vsock
from sampan.machine.forward import Forward
from sampan.machine.model import MachineSpec

MAX_DEPTH = 16

_OPEN = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_CLOSE = (yaml.MappingEndEvent, yaml.SequenceEndEvent)
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_QUOTED = re.compile(r"(unknown field|enum value) [`']([^`']*)[`']")
_BYTE = re.compile(r" \(byte (\d+)\)$")
_FIELDS: dict[str, type[msgspec.Struct]] = {
    "": MachineSpec, "disks": Disk, "shares": Share, "vsock": Vsock, "publish": Forward,
}  # fmt: skip
_SHOWN_CHARS = 200  # of a line


def invalid(text: str, name: str, error: msgspec.ValidationError) -> DocumentError:
    """The error for a document `text`, called `name`, that is no spec of a machine."""
    message, _, path = str(error).partition(" - at `$")
    path = path.rstrip("`")
    found = _find(text, path)
    field = _QUOTED.search(message)
    if field is not None and field[1] == "unknown field" and isinstance(found, yaml.MappingNode):
        found = next((key for key, _ in found.value if key.value == field[2]), found)
    where = (
        None if found is None else place(text, name, found.start_mark.line, found.start_mark.column)
    )
    said = message[:1].lower() + message[1:]
    hint = _hint(path, field, found)
    return DocumentError([Problem(path.lstrip("."), said, where or Where(name, 1, 1), hint)])


def malformed(text: str, name: str, error: msgspec.DecodeError) -> DocumentError:
    """The error for a `text` that is not even JSON."""
    said = str(error)
    at = _BYTE.search(said)
    before = text.encode()[: int(at[1])].decode(errors="replace") if at else text
    line = before.count("\n")
    column = len(before) - before.rfind("\n") - 1
    where = place(text, name, line, column)
    message = _BYTE.sub("", said).removeprefix("JSON is malformed: ")
    return DocumentError([Problem("", f"not JSON: {message[:1].lower()}{message[1:]}", where)])


def unplaced(name: str, message: str) -> DocumentError:
    """The error for the document called `name` as a whole."""
    return DocumentError([Problem("", message, Where(name, 1, 1))])


def text(data: bytes, name: str, max_bytes: int) -> str:
    """The text of a document.

    Raises:
        DocumentError: it is none, or too long.
    """
    if len(data) > max_bytes:
        raise unplaced(name, f"longer than {max_bytes >> 10} KiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise unplaced(name, "not UTF-8 text") from error


def place(text: str, name: str, line: int, column: int) -> Where:
    """A place in `text`, from numbers that count from 0."""
    lines = text.split("\n")
    shown = lines[line] if line < len(lines) else ""
    return Where(name, line + 1, column + 1, shown if len(shown) <= _SHOWN_CHARS else "")


def depth(text: str) -> int:
    """How deep the lists and mappings of a YAML text are nested; what reads them recurses so deep.

    Raises:
        yaml.YAMLError: it is none.
    """
    now = most = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        now += isinstance(event, _OPEN) - isinstance(event, _CLOSE)
        most = max(most, now)
        if most > MAX_DEPTH:
            break
    return most


def _find(text: str, path: str) -> yaml.Node | None:
    """The node at `path`, or the nearest one above it; None if the text cannot be read."""
    try:
        if depth(text) > MAX_DEPTH:
            return None
        node: Any = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        return None
    for key, index in _STEP.findall(path):
        below = _below(node, key, index)
        if below is None:
            break
        node = below
    return node  # type: ignore[no-any-return]  # PyYAML has no types


def _below(node: yaml.Node, key: str, index: str) -> yaml.Node | None:
    if key and isinstance(node, yaml.MappingNode):
        return next((value for name, value in node.value if name.value == key), None)
    if index and isinstance(node, yaml.SequenceNode) and int(index) < len(node.value):
        return node.value[int(index)]  # type: ignore[no-any-return]
    return None


def _hint(path: str, field: re.Match[str] | None, found: yaml.Node | None) -> str | None:
    if path == ".kernel" and isinstance(found, yaml.MappingNode):
        return "a description of a system has to be built before it is run: sampan build"
    if field is None or field[1] != "unknown field":
        return None
    above = _STEP.findall(path)
    owner = next((key for key, _ in reversed(above) if key), "")
    kind = _FIELDS.get(owner)
    return None if kind is None else _guess(field[2], kind.__struct_fields__)


def _guess(word: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
