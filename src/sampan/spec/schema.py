"""The JSON Schema of the YAML file, for editors, drawn from the model.

It is as strict as a schema can be; rules across values (`rule`) are beyond it.
"""

from __future__ import annotations

import json
from typing import Any, assert_never

from sampan.spec import shape
from sampan.spec.document import SPEC

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> bytes:
    """The schema, draft 2020-12, as indented JSON."""
    definitions: dict[str, Any] = {}
    _record(SPEC, definitions)
    root = definitions.pop(SPEC.struct.__name__)
    schema = {"$schema": DIALECT, "title": "Sampan system", **root, "$defs": definitions}
    return json.dumps(schema, indent=2, ensure_ascii=False).encode() + b"\n"


def _record(record: shape.Record, definitions: dict[str, Any]) -> dict[str, Any]:
    """A reference to the definition of a record, which is made when it is not there yet."""
    name = record.struct.__name__
    if name not in definitions:
        definitions[name] = {}  # so that a record within itself would end
        about = (record.struct.__doc__ or "").partition("\n")[0]
        fields = record.fields.values()
        definitions[name] = {
            "description": about,
            "type": "object",
            "additionalProperties": False,
            "properties": {field.key: _property(field, definitions) for field in fields},
        }
        required = [field.key for field in fields if field.required]
        if required:
            definitions[name]["required"] = required
    return {"$ref": f"#/$defs/{name}"}


def _property(field: shape.Field, definitions: dict[str, Any]) -> dict[str, Any]:
    schema = _schema(field.shape, definitions)
    return {"description": field.about, **schema} if field.about else schema


def _schema(wanted: shape.Shape, definitions: dict[str, Any]) -> dict[str, Any]:
    match wanted:
        case shape.Record():
            return _record(wanted, definitions)
        case shape.Sequence():
            return {"type": "array", "items": _schema(wanted.item, definitions)}
        case shape.Mapping():
            return {"type": "object", "additionalProperties": {"type": "string"}}
        case shape.Flag():
            return {"type": "boolean"}
        case shape.Integer():
            return {
                "type": "integer", "minimum": wanted.range.least, "maximum": wanted.range.most
            }  # fmt: skip
        case shape.Choice():
            return {"type": "string", "enum": list(wanted.words)}
        case shape.String():
            return _string(wanted.text)
        case shape.Either():
            options = (wanted.integer, wanted.string)
            return {"anyOf": [_schema(option, definitions) for option in options]}
        case _:
            assert_never(wanted)


def _string(text: shape.Text | None) -> dict[str, Any]:
    if text is None:
        return {"type": "string"}
    pattern = {"pattern": text.pattern} if text.pattern else {}
    # Words are offered, not demanded: paths and other spellings are right as well.
    offered = {"examples": list(text.words)} if text.words else {}
    return {"type": ["string", "integer"] if text.digits else "string", **pattern, **offered}
