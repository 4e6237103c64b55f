"""Fuzz target: the YAML file, from bytes to a checked spec and back to text."""

from __future__ import annotations

import contextlib

from sampan.errors import SampanError
from sampan.spec import Source, load
from sampan.spec.dump import to_json, to_yaml
from sampan.spec.label import parse_label


def one(data: bytes) -> None:
    """Read `data` as a document and as a label; what is a document is written and read again.

    Raises:
        SampanError: `data` is no document, which is right; anything else is a find.
    """
    with contextlib.suppress(SampanError):  # most documents are no labels
        parse_label(data, "label")
    spec = load([Source.text(data, "fuzz.yml")])
    for text in (to_yaml(spec), to_json(spec)):
        assert load([Source.text(text, "again.yml")]) == spec, text
