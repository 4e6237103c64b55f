"""Fuzz target: the document of a machine, YAML and JSON, from bytes to a spec and back to text."""

from __future__ import annotations

import contextlib

from sampan.errors import DocumentError
from sampan.machine import document


def one(data: bytes) -> None:
    """Read `data` as both; what is a machine is written and read again.

    Raises:
        DocumentError: `data` is no document, which is right; anything else is a find.
    """
    with contextlib.suppress(DocumentError):  # most YAML is no JSON
        document.from_json(data, name="fuzz.json")
    spec = document.from_yaml(data, name="fuzz.yml")
    assert document.from_json(document.to_json(spec), name="again.json") == spec
    assert document.from_yaml(document.to_yaml(spec).encode(), name="again.yml") == spec
