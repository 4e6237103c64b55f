"""One document, read: its values, and the way back from a value to its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sampan.spec.composer import compose
from sampan.spec.decoder import Decoder
from sampan.spec.model import Spec
from sampan.spec.node import Map, Node, place
from sampan.spec.shape import Record
from sampan.spec.source import Faults, Hint, Source

SPEC = Record(Spec)


class Document:
    """A source, the `spec` it holds as far as it could be understood, and its faults."""

    def __init__(
        self, source: Source, resolve_package: Callable[[Path], str] | None = None
    ) -> None:
        folder = source.folder
        resolve = None
        if folder is not None and resolve_package is not None:
            resolve = lambda path: resolve_package(folder / path)  # noqa: E731 - binds `folder`
        self.faults = Faults(source)
        self._decoder = Decoder(self.faults, resolve=resolve)
        node = compose(self.faults)
        spec = None if node is None else self._decoder.decode(node, SPEC)
        self.spec = spec if isinstance(spec, Spec) else Spec()

    def clean(self, value: object) -> bool:
        """Whether `value` is of this document and nothing inside it was faulty."""
        found = self._decoder.place(value)
        return found is not None and found.clean

    def where(self, value: object) -> str:
        """The place of `value` for people: `file:line:column`."""
        found = self._decoder.place(value)
        return str(self.faults.source.where(*place(found.node))) if found else ""

    def fault(self, value: object, key: str, message: str, hint: Hint = None) -> None:
        """Note a fault of `value`, at its `key` when it has one (`""` for the value itself)."""
        found = self._decoder.place(value)
        if found is None:
            self.faults.add(key, message, (0, 0), hint)
            return
        self.faults.add(_join(found.path, key), message, place(_child(found.node, key)), hint)


def _child(node: Node, key: str) -> Node:
    """The value of `key`, or the nearest thing to point at."""
    return (node.get(key) if isinstance(node, Map) else None) or node


def _join(path: str, key: str) -> str:
    return f"{path}.{key}".strip(".")
