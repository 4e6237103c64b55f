"""What is taken; what is refused is named. `test_document` has more, as users meet it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.errors import DocumentError
from sampan.machine import strictyaml

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.none() | st.booleans() | st.integers() | TEXT
PLAIN = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(PLAIN)
def test_what_was_written_can_be_read(plain):
    assert strictyaml.read(strictyaml.write(plain), name="x") == plain


def test_keys_stay_in_their_order():
    assert strictyaml.write({"b": 1, "a": 2}) == "b: 1\na: 2\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("a: 1\na: 2", "2:1: not YAML: the key 'a' is there twice"),
        ("a: &b 1\nc: *b", "2:4: not YAML: aliases are not taken"),
        ("[" * (strictyaml.MAX_DEPTH + 1), "1:1: nested too deeply"),
        ("- 2000-99-99", "1:1: not YAML: month must be in 1..12"),
    ],
)
def test_what_is_refused_is_named(data, message):
    with pytest.raises(DocumentError) as caught:
        strictyaml.read(data, name="vm.yml")
    assert caught.value.message.splitlines()[0] == f"vm.yml:{message}"
