"""The shapes a document can have, read off the annotations of the model.

One description serves the decoder, the writer and the JSON Schema. A field is written
`Annotated[Maybe[T], "what it is for"]`; scalars that are more than a number or a string
carry a `Text` or a `Range`. Knows nothing of YAML and of the model itself.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from functools import cache
from typing import Annotated, Literal, TypeAlias, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import UnsetType

T = TypeVar("T")
M = TypeVar("M")
Maybe = Union[T, UnsetType]  # noqa: UP007 - a generic alias must be spelled so before 3.12
"""A key that need not be given; `msgspec.UNSET` when it is not."""

Pairs: TypeAlias = tuple[tuple[str, str], ...]
"""A mapping of strings, in the order of the document; `dict()` reads it."""


class Part(msgspec.Struct, frozen=True, rename="camel"):
    """What all records share: they are immutable, and their keys are in camel case."""


class Text(msgspec.Struct, frozen=True):
    """Marks a scalar with a grammar of its own.

    `parse` raises ValueError; `pattern` is for editors; `words` are offered when the text is
    nearly one of them; `digits` says that it may stand unquoted though it looks like a number;
    `template` that `@pkg:FOLDER` may stand for it.
    """

    parse: Callable[[str], object]
    pattern: str | None = None
    words: tuple[str, ...] = ()
    digits: bool = False
    template: bool = False


class Range(msgspec.Struct, frozen=True):
    """Marks the least and greatest value of an integer."""

    least: int
    most: int


INT64 = Range(-(2**63), 2**63 - 1)


class Flag(msgspec.Struct, frozen=True):
    """A boolean."""


class Integer(msgspec.Struct, frozen=True):
    """A whole number."""

    range: Range


class String(msgspec.Struct, frozen=True):
    """A string, with or without a grammar."""

    text: Text | None = None


class Choice(msgspec.Struct, frozen=True):
    """One of some words."""

    words: tuple[str, ...]


class Either(msgspec.Struct, frozen=True):
    """A number or a string, told apart by how it is written."""

    integer: Integer
    string: String


class Sequence(msgspec.Struct, frozen=True):
    """A list."""

    item: Shape


class Mapping(msgspec.Struct, frozen=True):
    """A mapping of any keys to strings."""


class Field(msgspec.Struct, frozen=True):
    """A key of a record: `name` in Python, `key` in the document.

    `default` is UNSET for a key whose absence means something.
    """

    name: str
    key: str
    shape: Shape
    required: bool
    default: object
    about: str


class Record(msgspec.Struct, frozen=True):
    """A mapping with known keys, which becomes a `struct`."""

    struct: type[msgspec.Struct]

    @property
    def fields(self) -> dict[str, Field]:
        """The fields by their key, required ones first."""
        return _fields(self.struct)


Shape: TypeAlias = Flag | Integer | String | Choice | Either | Sequence | Mapping | Record


@cache
def _fields(struct: type[msgspec.Struct]) -> dict[str, Field]:
    fields = [
        Field(
            field.name,
            field.encode_name,
            shape_of(field.type),
            field.required,
            field.default,
            _about(field.type),
        )
        for field in msgspec.structs.fields(struct)
    ]
    return {field.key: field for field in sorted(fields, key=lambda field: not field.required)}


def shape_of(annotation: object) -> Shape:
    """The shape that a type of the model has in a document.

    Raises:
        TypeError: the model uses a type that has no shape; a fault of ours.
    """
    marks: tuple[object, ...] = ()
    while get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        marks += tuple(more)
    options = _union(annotation)
    if len(options) == 1 and options[0] is not annotation:
        return shape_of(Annotated[options[0], *marks]) if marks else shape_of(options[0])
    if set(options) == {int, str}:
        return Either(Integer(_mark(marks, Range) or INT64), String(_mark(marks, Text)))
    return _plain(annotation, marks)


def _plain(annotation: object, marks: tuple[object, ...]) -> Shape:
    text = _mark(marks, Text)
    if annotation is str or text:
        return String(text)
    if annotation is bool:
        return Flag()
    if annotation is int:
        return Integer(_mark(marks, Range) or INT64)
    if annotation == Pairs:
        return Mapping()
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return Choice(arguments)
    if origin is tuple and arguments[1:] == (...,):
        return Sequence(shape_of(arguments[0]))
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return Record(annotation)
    raise TypeError(f"{annotation!r} has no shape in a document")


def _union(annotation: object) -> tuple[object, ...]:
    if get_origin(annotation) not in (Union, types.UnionType):
        return (annotation,)
    return tuple(option for option in get_args(annotation) if option is not UnsetType)


def _mark(marks: tuple[object, ...], kind: type[M]) -> M | None:
    return next((mark for mark in marks if isinstance(mark, kind)), None)


def _about(annotation: object) -> str:
    """What a field is for: the string beside its type."""
    if get_origin(annotation) is not Annotated:
        return ""
    return next((mark for mark in get_args(annotation)[1:] if isinstance(mark, str)), "")
