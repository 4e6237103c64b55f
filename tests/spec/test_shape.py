from typing import Annotated, Literal

import pytest
from msgspec import UNSET

from sampan.spec import shape
from sampan.spec.shape import INT64, Maybe, Pairs, Part, Range, Text, shape_of


class Sample(Part, frozen=True, kw_only=True, rename={"two_words": "two.words"}):
    two_words: Annotated[Maybe[str], "what it is for"] = UNSET
    always: int
    list_of: tuple[str, ...] = ()


def test_scalars():
    text = Text(str.upper)
    assert shape_of(str) == shape.String()
    assert shape_of(Annotated[str, text]) == shape.String(text)
    assert shape_of(bool) == shape.Flag()
    assert shape_of(int) == shape.Integer(INT64)
    assert shape_of(Annotated[int, Range(0, 5)]) == shape.Integer(Range(0, 5))
    assert shape_of(Literal["a", "b"]) == shape.Choice(("a", "b"))
    assert shape_of(Annotated[int | str, Range(0, 5)]) == shape.Either(
        shape.Integer(Range(0, 5)), shape.String()
    )


def test_containers():
    assert shape_of(tuple[str, ...]) == shape.Sequence(shape.String())
    assert shape_of(Pairs) == shape.Mapping()
    assert shape_of(Sample) == shape.Record(Sample)


class Marked(Part, frozen=True):
    inside: Annotated[Maybe[Annotated[str, Text(str.upper)]], "about"] = UNSET
    beside: Annotated[Maybe[int], Range(1, 2), "about"] = UNSET
    deeper: Maybe[tuple[Annotated[int, Range(1, 2)], ...]] = UNSET


def test_optional_and_marked_are_seen_through():
    fields = shape.Record(Marked).fields
    assert fields["inside"].shape == shape.String(Text(str.upper))
    assert fields["beside"].shape == shape.Integer(Range(1, 2))
    assert fields["deeper"].shape == shape.Sequence(shape.Integer(Range(1, 2)))


def test_fields_of_a_record_begin_with_the_required_ones():
    fields = shape.Record(Sample).fields
    assert list(fields) == ["always", "two.words", "list_of"]
    assert fields["always"].required
    two = fields["two.words"]
    assert (two.name, two.about, two.default) == ("two_words", "what it is for", UNSET)
    assert fields["list_of"].default == ()


def test_a_type_without_shape_is_our_fault():
    with pytest.raises(TypeError, match="has no shape"):
        shape_of(dict[str, int])
