"""A `Spec` → a document again: what `--dry-run` prints and `metadata:` files hold.

`load` reads back what is written here, to the same value.
"""

from __future__ import annotations

import json
import re
from typing import Any, assert_never

from msgspec import UNSET

from sampan.spec import shape
from sampan.spec.document import SPEC
from sampan.spec.model import Spec
from sampan.spec.node import Kind, kind

_LINE_BREAKS = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")  # mere letters to JSON only


def to_yaml(spec: Spec) -> str:
    """The YAML of `spec`: keys in the order of the schema, nothing that was not given."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Never aliases; lists stand indented; strings quoted wherever a reader could err."""

        def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401
            return True

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
            super().increase_indent(flow, indentless=False)

        def string(self, text: str) -> yaml.ScalarNode:
            style = None
            if kind(text) is not Kind.STRING or _LINE_BREAKS.search(text):
                style = '"'
            elif "\n" in text:
                style = "|"
            return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    Dumper.add_representer(str, Dumper.string)
    tree = encode(spec, SPEC)
    return yaml.dump(tree, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=2**20)


def to_json(spec: Spec) -> str:
    """The same document as JSON, two spaces of indent."""
    return to_json_text(spec, SPEC, indent=2) + "\n"


def to_json_text(value: object, wanted: shape.Shape, *, indent: int | None = None) -> str:
    """`value`, of shape `wanted`, as JSON that YAML reads too; compact without `indent`."""
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(
        encode(value, wanted), indent=indent, separators=separators, ensure_ascii=False
    )
    return _LINE_BREAKS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def encode(value: object, wanted: shape.Shape) -> Any:  # noqa: ANN401 - what YAML and JSON take
    """`value`, of shape `wanted`, as the mappings, lists and scalars of YAML and JSON."""
    match wanted:
        case shape.Record():
            return {
                field.key: encode(given, field.shape)
                for field in wanted.fields.values()
                if (given := getattr(value, field.name)) is not UNSET and given != field.default
            }
        case shape.Sequence():
            assert isinstance(value, tuple)
            return [encode(item, wanted.item) for item in value]
        case shape.Mapping():
            assert isinstance(value, tuple)
            return dict(value)
        case shape.String():
            return str(value)
        case shape.Flag() | shape.Integer() | shape.Choice() | shape.Either():
            return value
        case _:
            assert_never(wanted)
