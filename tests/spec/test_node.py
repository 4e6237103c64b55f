import pytest

from sampan.spec.node import Kind, List, Map, Scalar, describe, kind, place, shorten


@pytest.mark.parametrize(
    ("wanted", "texts"),
    [
        (Kind.NULL, ["", "~", "null", "NULL"]),
        (Kind.BOOLEAN, ["true", "True", "FALSE"]),
        (Kind.SWITCH, ["yes", "No", "ON", "off"]),
        (Kind.INTEGER, ["0", "-7", "+7", "0x1F", "0o17", "9" * 5000]),
        (Kind.FLOAT, ["1.5", "1.", ".5", "-1e9", "1.5E-3", ".inf", "-.Inf", ".nan"]),
        (Kind.STRING, ["0755", "1:30", "1_000", "nULL", "y", "n", "tRue", "1.2.3", "e", ".", "-"]),
    ],
)
def test_kinds(wanted, texts):
    assert {text: kind(text) for text in texts} == dict.fromkeys(texts, wanted)


def test_what_stands_in_quotes_is_a_string():
    assert Scalar("yes", 0, 0).kind is Kind.STRING
    assert Scalar("yes", 0, 0, plain=True).kind is Kind.SWITCH


def test_describe():
    assert describe(List((), 0, 0)) == "a list"
    assert describe(Map((), 0, 0)) == "a mapping"
    assert describe(Scalar("1", 0, 0, plain=True)) == "a number"


def test_map_and_place():
    value = Scalar("v", 3, 4)
    node = Map(((Scalar("k", 3, 1), value),), 1, 2)
    assert node.get("k") is value
    assert node.get("x") is None
    assert place(node) == (1, 2)


def test_shorten_is_one_printable_line():
    assert shorten("a\n\x1b") == r"'a\n\x1b'"
    assert shorten("a" * 100) == repr("a" * 57 + "...")
