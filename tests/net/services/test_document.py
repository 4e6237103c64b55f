import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.errors import DocumentError
from sampan.net.services.document import MAX_BYTES, MAX_DEPTH, read

TEXT = """\
default: deny
rules:
  - allow: [a.example, "*.b"]
    port: 443
  -
    deny: {x: y}
"""


def value(text):
    return read(text, "f").value


def problem(text):
    with pytest.raises(DocumentError) as caught:
        read(text, "f.yml")
    [found] = caught.value.problems
    return found


def test_values():
    assert value("{a: 1, b: -2, c: true, d: null, e: , f: 'x'}") == {
        "a": 1, "b": -2, "c": True, "d": None, "e": None, "f": "x",
    }  # fmt: skip
    assert value("[no, 08, 12:30, 1e3, 0x10, '5', !!str 7, 1.5, True]") == [
        "no", "08", "12:30", "1e3", "0x10", "5", "7", "1.5", "True",
    ]  # fmt: skip
    assert value("") is None
    assert value("# nothing\n") is None


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [
        ("", 1, 1),
        ("default", 1, 1),
        ("rules", 2, 1),
        ("rules[0]", 3, 5),
        ("rules[0].allow[1]", 3, 24),
        ("rules[0].port", 4, 5),
        ("rules[1].deny.x", 6, 12),
        ("rules[1].deny.x.nothing[3]", 6, 12),
        ("rules[7].allow", 2, 1),
        ("nothing", 1, 1),
        ("rules[x]..[", 2, 1),
    ],
)
def test_places(path, line, column):
    where = read(TEXT, "f.yml").where(path)
    assert (where.file, where.line, where.column) == ("f.yml", line, column)
    assert where.text == TEXT.splitlines()[line - 1]


def test_aliases_stand_for_what_they_name():
    assert value("{a: &x [1, 2], b: *x, c: &y z, d: *y}") == {
        "a": [1, 2], "b": [1, 2], "c": "z", "d": "z",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "'a' is given twice"),
        ("a: [1\n", 2, "not YAML"),
        ("a: *x\n", 1, "no anchor"),
        ("a: !!python/object:os.system x\n", 1, "tag"),
        ("a: !!int 5\n", 1, "tag"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", 3, "not supported"),
        ("[a]: b\n", 1, "single word"),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), 1, "deeper"),
        ("a:\n\t- b\n", 2, "not YAML"),
        ("a: \0\n", 1, "not YAML"),
    ],
)
def test_faults_have_a_place(text, line, message):
    found = problem(text)
    assert message in found.message
    assert (found.where.file, found.where.line) == ("f.yml", line)


def test_laughter_is_bounded():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    assert "stands for more than" in problem("\n".join(lines)).message
    nested = "\n".join([f"a{n}: &a{n} [{f'*a{n - 1}' if n else 1}]" for n in range(20)])
    assert "deeper" in problem(nested).message


def test_size_is_bounded():
    assert "characters" in problem("#" * (MAX_BYTES + 1)).message
    assert "stands for more" in problem("[" + "1," * 60_000 + "]").message


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(values, st.sampled_from([None, 2, "\t"]))
def test_json_is_read_as_it_was_meant(meant, indent):
    if not isinstance(meant, dict | list):
        meant = {"it": meant}
    if isinstance(meant, list) and indent == "\t":
        indent = 2
    text = json.dumps(meant, indent=indent, ensure_ascii=True)
    if "\\ud" in text:  # YAML has no pairs of escapes
        return
    assert value(text) == meant


@given(values)
def test_what_pyyaml_writes(meant):
    text = yaml.safe_dump({"it": meant}, allow_unicode=True)
    assert value(text) == {"it": meant}


@given(st.text(st.sampled_from("ab:-[]{}&*!<'\"\n \t0,#|>?"), max_size=40))
@settings(max_examples=300)
def test_noise(text):
    try:
        found = read(text, "f")
    except DocumentError:
        return
    for path in found.marks:
        assert found.where(path) is not None
