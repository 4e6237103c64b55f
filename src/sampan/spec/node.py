"""A YAML document as a tree of nodes with positions, before it means anything.

Aliases and merge keys are already followed here. How a scalar reads (`kind`) is decided
here and only here: a small, strict grammar, with the words on which YAML versions disagree
kept apart so that they can be reported.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TypeAlias

import msgspec


class Kind(StrEnum):
    """What a scalar is, going by how it is written."""

    NULL = "nothing"
    BOOLEAN = "a boolean"
    SWITCH = "a word that some YAML versions read as a boolean"  # yes, no, on, off
    INTEGER = "a number"
    FLOAT = "a number with a fraction"
    STRING = "a string"


class Scalar(msgspec.Struct, frozen=True):
    """A single value; `plain` when it stands without quotes. Positions count from 0."""

    text: str
    line: int
    column: int
    plain: bool = False

    @property
    def kind(self) -> Kind:
        """What it is; anything in quotes is a string."""
        return kind(self.text) if self.plain else Kind.STRING


class List(msgspec.Struct, frozen=True):
    """A sequence of nodes."""

    items: tuple[Node, ...]
    line: int
    column: int


class Map(msgspec.Struct, frozen=True):
    """A mapping; its keys are unique, in the order of the document, merged ones last."""

    pairs: tuple[tuple[Scalar, Node], ...]
    line: int
    column: int

    def get(self, key: str) -> Node | None:
        """The value of a key."""
        return next((node for name, node in self.pairs if name.text == key), None)


Node: TypeAlias = Scalar | List | Map

_SWITCHES = frozenset({"yes", "no", "on", "off"})
_SCALAR = re.compile(
    r"(?P<NULL>|~|null|Null|NULL)"
    r"|(?P<BOOLEAN>true|True|TRUE|false|False|FALSE)"
    r"|(?P<INTEGER>[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+|0o[0-7]+)"
    r"|(?P<FLOAT>[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))"
)


def kind(text: str) -> Kind:
    """What an unquoted scalar is. `0755` is a string: half the world reads it as 493."""
    if text.lower() in _SWITCHES:
        return Kind.SWITCH
    match = _SCALAR.fullmatch(text)
    return Kind[match.lastgroup] if match and match.lastgroup else Kind.STRING


def describe(node: Node) -> str:
    """What a node is, for messages."""
    match node:
        case List():
            return "a list"
        case Map():
            return "a mapping"
        case Scalar():
            return str(node.kind)


def place(node: Node) -> tuple[int, int]:
    """Line and column of a node, from 0."""
    return node.line, node.column


def shorten(text: str) -> str:
    """`text` as it is quoted in messages: one line, printable, not long."""
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    return repr(shown)
