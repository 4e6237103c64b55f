"""Nodes → values of the model, with every fault noted at its place.

Driven by the shapes alone: the model can grow without a change here. A faulty value becomes
UNSET, as if it had not been given, so that the search for faults goes on behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import assert_never

import msgspec
from msgspec import UNSET

from sampan.base.units import parse_size
from sampan.errors import SampanError
from sampan.spec import guess, shape
from sampan.spec.node import Kind, List, Map, Node, Scalar, describe, place, shorten
from sampan.spec.source import Faults

PACKAGE = "@pkg:"
_NUMBERS = (Kind.INTEGER, Kind.FLOAT)
_LONGEST_NUMBER = 40


class Place(msgspec.Struct, frozen=True):
    """Where a value stands in its document; `clean` when no fault was found inside it."""

    path: str
    node: Node
    clean: bool = True


class Decoder:
    """Reads the nodes of one document.

    `resolve` turns the text after `@pkg:` into an image's name. `lenient` reads as Go's JSON
    decoder does, which is how labels were written and read: null is no value, and the case
    of a key does not matter.
    """

    def __init__(
        self,
        faults: Faults,
        *,
        resolve: Callable[[str], str] | None = None,
        lenient: bool = False,
    ) -> None:
        self.faults = faults
        self.lenient = lenient
        self._resolve = resolve
        self._places: dict[int, tuple[object, Place]] = {}  # by id(): the value is kept alive

    def place(self, value: object) -> Place | None:
        """Where a record, a bind or another composed value stands."""
        return self._places.get(id(value), (None, None))[1]

    def decode(self, node: Node, wanted: shape.Shape, path: str = "") -> object:
        """The value of `node`, or UNSET when it is faulty."""
        match wanted:
            case shape.Record():
                return self._record(node, wanted, path)
            case shape.Sequence():
                return self._sequence(node, wanted, path)
            case shape.Mapping():
                return self._mapping(node, path)
            case shape.Flag():
                return self._flag(node, path)
            case shape.Integer():
                return self._integer(node, wanted, path)
            case shape.Choice():
                return self._choice(node, wanted, path)
            case shape.String():
                return self._string(node, wanted, path)
            case shape.Either():
                number = isinstance(node, Scalar) and node.kind in _NUMBERS
                return self.decode(node, wanted.integer if number else wanted.string, path)
            case _:
                assert_never(wanted)

    def _record(self, node: Node, wanted: shape.Record, path: str) -> object:
        if not isinstance(node, Map):
            return self._mismatch(node, "a mapping", path, "write `key: value` lines")
        before = len(self.faults)
        values: dict[str, object] = {}
        for key, child in node.pairs:
            field = self._field(key, wanted, path)
            if field and not (self._is_null(child) and self._may_be_null(field)):
                value = self.decode(child, field.shape, f"{path}.{field.key}".removeprefix("."))
                if value is not UNSET:
                    values[field.name] = value
        for field in wanted.fields.values():
            if field.required and field.name not in values:
                if not any(key.text == field.key for key, _ in node.pairs):
                    message = f"the key {field.key!r} is missing ({field.about})"
                    self.faults.add(path, message, place(node))
                return UNSET
        return self._keep(wanted.struct(**values), path, node, len(self.faults) == before)

    def _field(self, key: Scalar, wanted: shape.Record, path: str) -> shape.Field | None:
        fields = wanted.fields
        field = fields.get(key.text)
        if field is None and self.lenient:
            folded = key.text.lower()
            field = next((f for f in fields.values() if f.key.lower() == folded), None)
        if field is None:
            hint = lambda: guess.hint(key.text, fields) or f"known keys: {', '.join(fields)}"  # noqa: E731
            self.faults.add(path, f"unknown key {shorten(key.text)}", place(key), hint)
        return field

    def _may_be_null(self, field: shape.Field) -> bool:
        return self.lenient or not (field.required or field.default is UNSET)

    def _sequence(self, node: Node, wanted: shape.Sequence, path: str) -> object:
        if not isinstance(node, List):
            hint = "write [] for an empty list, or remove the key"
            if isinstance(node, Scalar) and not self._is_null(node):
                hint = f"write [{shorten(node.text)}], or one `- …` line for each"
            return self._mismatch(node, "a list", path, hint)
        values = (
            self.decode(child, wanted.item, f"{path}[{index}]")
            for index, child in enumerate(node.items)
        )
        return tuple(value for value in values if value is not UNSET)

    def _mapping(self, node: Node, path: str) -> object:
        if not isinstance(node, Map):
            return self._mismatch(node, "a mapping", path, "write `name: 'value'` lines")
        plain = shape.String()
        pairs = (
            (key.text, self.decode(child, plain, f"{path}.{key.text[:60]}"))
            for key, child in node.pairs
        )
        return tuple((key, value) for key, value in pairs if value is not UNSET)

    def _flag(self, node: Node, path: str) -> object:
        if isinstance(node, Scalar) and node.kind is Kind.BOOLEAN:
            return node.text.lower() == "true"
        hint = "write true or false"
        if isinstance(node, Scalar) and node.text.lower() in _FLAGS:
            hint = f"write {_FLAGS[node.text.lower()]}" + ("" if node.plain else ", without quotes")
        return self._mismatch(node, "true or false", path, hint)

    def _integer(self, node: Node, wanted: shape.Integer, path: str) -> object:
        if not isinstance(node, Scalar) or node.kind is not Kind.INTEGER:
            hint = _number(node.text) if isinstance(node, Scalar) else None
            return self._mismatch(node, "a whole number", path, hint)
        least, most = wanted.range.least, wanted.range.most
        if len(node.text) > _LONGEST_NUMBER or not least <= int(node.text, 0) <= most:
            message = f"{shorten(node.text)} is out of range, {least} to {most}"
            self.faults.add(path, message, place(node))
            return UNSET
        return int(node.text, 0)

    def _choice(self, node: Node, wanted: shape.Choice, path: str) -> object:
        if isinstance(node, Scalar) and node.text in wanted.words and not self._is_null(node):
            return node.text
        known = ", ".join(word or "''" for word in wanted.words)
        if not isinstance(node, Scalar) or self._is_null(node):
            return self._mismatch(node, f"one of {known}", path)
        hint = partial(guess.hint, node.text, wanted.words)
        self.faults.add(path, f"{shorten(node.text)} is not one of {known}", place(node), hint)
        return UNSET

    def _string(self, node: Node, wanted: shape.String, path: str) -> object:
        text = wanted.text
        if not isinstance(node, Scalar):
            return self._mismatch(node, "a string", path)
        if self._is_null(node):
            advice = "write '' for an empty string, or remove the key"
            return self._mismatch(node, "a string", path, advice)
        if node.kind is not Kind.STRING and not (text and text.digits and node.kind in _NUMBERS):
            advice = f"put it in quotes: {shorten(node.text)}"
            return self._mismatch(node, "a string", path, advice)
        if text is None:
            return node.text
        if text.template and node.text.startswith(PACKAGE):
            return self._package(node, path)
        try:
            value = text.parse(node.text)
        except ValueError as error:
            hint = partial(guess.hint, node.text, text.words)
            self.faults.add(path, str(error), place(node), hint)
            return UNSET
        return value if isinstance(value, str) else self._keep(value, path, node, clean=True)

    def _package(self, node: Scalar, path: str) -> object:
        if self._resolve is None:
            message = f"{shorten(node.text)}: packages cannot be looked up here"
            hint = "@pkg: works in files, with a folder relative to the file"
            self.faults.add(path, message, place(node), hint)
            return UNSET
        try:
            return self._resolve(node.text.removeprefix(PACKAGE))
        except SampanError as error:
            message = f"{shorten(node.text)}: {error.message}"
            self.faults.add(path, message, place(node), error.hint)
            return UNSET

    def _keep(self, value: object, path: str, node: Node, clean: bool) -> object:
        self._places[id(value)] = (value, Place(path, node, clean))
        return value

    def _mismatch(self, node: Node, wanted: str, path: str, hint: str | None = None) -> object:
        given = describe(node)
        if isinstance(node, Scalar) and not self._is_null(node):
            given = f"{shorten(node.text)} ({given})"
        self.faults.add(path, f"must be {wanted}, not {given}", place(node), hint)
        return UNSET

    def _is_null(self, node: Node) -> bool:
        return isinstance(node, Scalar) and node.kind is Kind.NULL


_FLAGS = {"yes": "true", "on": "true", "y": "true", "1": "true", "true": "true"} | {
    "no": "false", "off": "false", "n": "false", "0": "false", "false": "false"
}  # fmt: skip


def _number(text: str) -> str | None:
    """How to write what was likely meant as a number."""
    if text and not text.strip("0123456789"):
        return f"write {text.lstrip('0')[:30] or 0}, without quotes and leading zeros"
    try:
        return f"write {parse_size(text[:30])}" if text[-1:].isalpha() else None
    except ValueError:
        return None
