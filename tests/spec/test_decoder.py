from typing import Annotated, Literal

import pytest
from msgspec import UNSET

from sampan.errors import SampanError
from sampan.spec.composer import compose
from sampan.spec.decoder import Decoder
from sampan.spec.shape import Maybe, Pairs, Part, Range, Record, Text, shape_of
from sampan.spec.source import Faults, Source
from sampan.spec.text import Bind, Mode


class Inner(Part, frozen=True):
    value: Annotated[int, "a value"]


class Outer(Part, frozen=True):
    text: Maybe[str] = UNSET
    items: Maybe[tuple[str, ...]] = UNSET
    inner_part: Maybe[Inner] = UNSET
    binds: Maybe[tuple[Annotated[Bind, Text(Bind.parse)], ...]] = UNSET
    section: tuple[Inner, ...] = ()


def decode(text, annotation, **options):
    """The value of a text, and its faults as lines."""
    faults = Faults(Source.text(text, "t"))
    node = compose(faults)
    assert node
    value = Decoder(faults, **options).decode(node, shape_of(annotation))
    return value, [f"{column(p)} {p.path}: {p.message} ({p.hint})" for p in faults.problems]


def column(problem):
    return problem.where.column


@pytest.mark.parametrize(
    ("text", "annotation", "value"),
    [
        ("a", str, "a"),
        ("'yes'", str, "yes"),
        ("!!str yes", str, "yes"),
        ("0755", str, "0755"),
        ("true", bool, True),
        ("FALSE", bool, False),
        ("-7", int, -7),
        ("0x1F", int, 31),
        ("0o17", int, 15),
        ("[a, 'b']", tuple[str, ...], ("a", "b")),
        ("[]", tuple[str, ...], ()),
        ("{a: b, c: '1'}", Pairs, (("a", "b"), ("c", "1"))),
        ("no", Literal["no", "always"], "no"),
        ("5", int | str, 5),
        ("five", int | str, "five"),
        ("0644", Annotated[Mode, Text(Mode.parse, digits=True)], Mode(0o644, "0644")),
        ("644", Annotated[Mode, Text(Mode.parse, digits=True)], Mode(0o644, "644")),
        ("/a:/b", Annotated[Bind, Text(Bind.parse)], Bind("/a", "/b")),
        ("{text: x, innerPart: {value: 3}}", Outer, Outer("x", inner_part=Inner(3))),
        ("{section: }", Outer, Outer()),
    ],
)
def test_values(text, annotation, value):
    assert decode(text, annotation) == (value, [])


QUOTES = "put it in quotes"
TRAP = "a word that some YAML versions read as a boolean"


@pytest.mark.parametrize(
    ("text", "annotation", "fault"),
    [
        ("yes", str, f"must be a string, not 'yes' ({TRAP}) ({QUOTES}: 'yes')"),
        ("True", str, f"must be a string, not 'True' (a boolean) ({QUOTES}: 'True')"),
        ("10", str, f"must be a string, not '10' (a number) ({QUOTES}: '10')"),
        ("1e3", str, f"must be a string, not '1e3' (a number with a fraction) ({QUOTES}: '1e3')"),
        ("~", str, "must be a string, not nothing (write '' for an empty string, or remove the key)"),
        ("[a]", str, "must be a string, not a list (None)"),
        ("on", bool, f"must be true or false, not 'on' ({TRAP}) (write true)"),
        ("'no'", bool, "must be true or false, not 'no' (a string) (write false, without quotes)"),
        ("2", bool, "must be true or false, not '2' (a number) (write true or false)"),
        ("'5'", int, "must be a whole number, not '5' (a string) (write 5, without quotes and leading zeros)"),
        ("007", int, "must be a whole number, not '007' (a string) (write 7, without quotes and leading zeros)"),
        ("1.0", int, "must be a whole number, not '1.0' (a number with a fraction) (None)"),
        ("512M", int, "must be a whole number, not '512M' (a string) (write 536870912)"),
        ("many", int, "must be a whole number, not 'many' (a string) (None)"),
        ("9", Annotated[int, Range(0, 8)], "'9' is out of range, 0 to 8 (None)"),
        ("a", tuple[str, ...], "must be a list, not 'a' (a string) (write ['a'], or one `- …` line for each)"),
        ("null", tuple[str, ...], "must be a list, not nothing (write [] for an empty list, or remove the key)"),
        ("[a]", Pairs, "must be a mapping, not a list (write `name: 'value'` lines)"),
        ("alway", Literal["no", "always"], "'alway' is not one of no, always (did you mean 'always'?)"),
        ("{}", Literal["no", "always"], "must be one of no, always, not a mapping (None)"),
        ("off", int | str, f"must be a string, not 'off' ({TRAP}) ({QUOTES}: 'off')"),
        ("x", Annotated[Mode, Text(Mode.parse)], "'x' is not an octal mode (say '0644', at most '7777') (None)"),
    ],
)  # fmt: skip
def test_faulty_values(text, annotation, fault):
    assert decode(text, annotation) == (UNSET, [f"1 : {fault}"])


def test_a_huge_number_is_out_of_range():
    value, faults = decode("9" * 100_000, int)
    assert value is UNSET
    assert "out of range" in faults[0]


def test_faults_of_a_record():
    value, faults = decode("{txt: a, text: [], innerPart: {}, items: [a, 1, b]}", Outer)
    assert value == Outer(items=("a", "b")), "what can be understood is kept"
    assert faults == [
        "2 : unknown key 'txt' (did you mean 'text'?)",
        "16 text: must be a string, not a list (None)",
        "31 innerPart: the key 'value' is missing (a value) (None)",
        "46 items[1]: must be a string, not '1' (a number) (put it in quotes: '1')",
    ]


def test_places():
    faults = Faults(Source.text("{binds: [/a:/b], section: [{value: 1, x: 2}]}", "t"))
    decoder = Decoder(faults)
    node = compose(faults)
    assert node
    outer = decoder.decode(node, Record(Outer))
    assert isinstance(outer, Outer)
    assert outer.binds
    bind, inner = decoder.place(outer.binds[0]), decoder.place(outer.section[0])
    assert bind
    assert (bind.path, bind.clean, bind.node.column) == ("binds[0]", True, 9)
    assert inner
    assert not inner.clean
    assert decoder.place(Inner(1)) is None


def test_lenient_reads_as_go_does():
    text = '{"Text": "a", "INNERPART": {"Value": 1}, "items": null}'
    assert decode(text, Outer, lenient=True) == (Outer("a", inner_part=Inner(1)), [])
    assert len(decode(text, Outer)[1]) == 3


def test_templates():
    image = Annotated[str, Text(str, template=True)]
    assert decode("'@pkg:../a'", image, resolve="<{}>".format) == ("<../a>", [])
    assert decode("'@pkg:a'", str, resolve="<{}>".format) == ("@pkg:a", [])
    _, faults = decode("'@pkg:a'", image)
    hint = "@pkg: works in files, with a folder relative to the file"
    assert faults == [f"1 : '@pkg:a': packages cannot be looked up here ({hint})"]


def test_a_template_that_cannot_be_resolved_is_a_fault():
    def resolve(folder):
        raise SampanError(f"no build.yml in {folder}", hint="make one")

    _, faults = decode("'@pkg:a'", Annotated[str, Text(str, template=True)], resolve=resolve)
    assert faults == ["1 : '@pkg:a': no build.yml in a (make one)"]
