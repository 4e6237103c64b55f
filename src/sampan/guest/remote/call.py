"""What a call asks for: its JSON read into values, every one of them checked. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from sampan.guest.remote.fault import CallError

T = TypeVar("T")


class Params:
    """The parameters of a call, by name; what is wrong is said with the name."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def get(self, name: str, default: T) -> T:
        """A value of the type that `default` has; `default` if it is not given.

        Raises:
            CallError: it is of another type.
        """
        value = self._values.get(name, default)
        if type(value) is int and type(default) is float:
            value = float(value)
        if type(value) is not type(default):
            raise CallError(f"{name} is not a {type(default).__name__}")
        return value

    def text(self, name: str) -> str:
        """A text that must be given, and not be empty.

        Raises:
            CallError: it is not.
        """
        value = self.get(name, "")
        if not value or "\0" in value:
            raise CallError(f"{name} is missing")
        return value

    def words(self, name: str) -> list[str]:
        """A list of texts.

        Raises:
            CallError: it is none.
        """
        items: list[object] = self.get(name, [])
        words = [item for item in items if isinstance(item, str) and "\0" not in item]
        if len(words) != len(items):
            raise CallError(f"{name} is not a list of texts")
        return words

    def table(self, name: str) -> dict[str, str]:
        """Texts by name.

        Raises:
            CallError: it is no such table.
        """
        items: dict[str, object] = self.get(name, {})
        table = {key: text for key, text in items.items() if isinstance(text, str)}
        if len(table) != len(items) or any("\0" in key + table[key] for key in table):
            raise CallError(f"{name} is not a table of texts")
        return table

    def has(self, name: str) -> bool:
        """Whether it is given at all."""
        return self._values.get(name) is not None


def parse(body: bytes) -> tuple[str, Params]:
    """The method that a call's body names, and its parameters.

    Raises:
        CallError: it is no such body.
    """
    said = _object(body)
    method, params = said.get("method"), said.get("params", {})
    if not isinstance(method, str) or not isinstance(params, dict):
        raise CallError("the call names no method")
    return method, Params(params)


def parse_note(body: bytes) -> Params:
    """What a note says; of one that makes no sense, nothing."""
    try:
        return Params(_object(body))
    except CallError:
        return Params({})


def _object(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        raise CallError("the call is not JSON") from None
    if not isinstance(said, dict):
        raise CallError("the call is not an object")
    return said


def result(value: Mapping[str, object]) -> bytes:
    """The answer of a call that was served."""
    return json.dumps({"result": value}, separators=(",", ":")).encode()


def error(text: str) -> bytes:
    """The answer of a call that was not."""
    return json.dumps({"error": text[:4096]}, separators=(",", ":")).encode()
