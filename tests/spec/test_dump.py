import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from sampan.spec import shape
from sampan.spec.document import SPEC, Document
from sampan.spec.dump import to_json, to_yaml
from sampan.spec.model import File, Kernel, Spec
from sampan.spec.source import Source

# What the text of a scalar may be: everything YAML can hold, and all that it could misread.
printable = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs"), include_characters="\n\t"),
    max_size=20,
)
tricky = st.sampled_from(
    ["", "~", "null", "yes", "no", "on", "true", "1", "0755", "0o7", "1.5", "1:30", "<<", "=", "-",
     "- a", "a: b", "a #b", "#", "&a", "*a", "!a", "|", ">", "%", "@pkg", "`", "{", "]", "'", '"',
     "\\", " a", "a ", "a\n", "\na", " \n a", "a\n\n", "2020-01-01", "---", "...", "? a", "\x85",
     "\u2028", "\ufeff", "\x07", "\0", "😀"]
)  # fmt: skip
strings = printable | tricky
EXAMPLES = {
    "image_name": ["nginx", "a/b:1"],
    "container_name": ["a", "no", "1", "web-1"],
    "volume_name": ["data", "yes", "0"],
    "tree_path": ["etc/motd", "/a", "1", "true"],
    "namespace": ["", "host", "none", "/run/netns/a b"],
    "Bind.parse": ["/a:/b", "data:/b:ro,rbind"],
    "Tmpfs.parse": ["/tmp", "/tmp:size=1M"],
    "Rlimit.parse": ["nofile,1,unlimited"],
    "Mode.parse": ["0644", "755"],
    "parse": ["CAP_KILL", "all"],
}


def values(wanted):
    """Values of a shape."""
    match wanted:
        case shape.Record():
            return records(wanted)
        case shape.Sequence():
            return st.lists(values(wanted.item), max_size=3).map(tuple)
        case shape.Mapping():
            return st.dictionaries(strings, strings, max_size=3).map(lambda d: tuple(d.items()))
        case shape.Flag():
            return st.booleans()
        case shape.Integer():
            return st.integers(wanted.range.least, wanted.range.most)
        case shape.Choice():
            return st.sampled_from(wanted.words)
        case shape.Either():
            return values(wanted.integer) | values(wanted.string)
        case shape.String():
            return lines(wanted.text)
        case _:
            raise AssertionError(wanted)


def lines(text):
    if text is None:
        return strings
    return st.sampled_from(EXAMPLES[text.parse.__qualname__]).map(text.parse)


def records(wanted):
    """Records with all that is required, and a few of their other keys."""
    required = {f.name: values(f.shape) for f in wanted.fields.values() if f.required}
    others = {f.name: f for f in wanted.fields.values() if not f.required}
    chosen = st.sets(st.sampled_from(sorted(others)), max_size=4) if others else st.just(set())
    return chosen.flatmap(
        lambda names: st.builds(
            wanted.struct, **required, **{name: values(others[name].shape) for name in names}
        )
    )


@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(values(SPEC))
def test_what_is_written_is_read_back(spec):
    for text in (to_yaml(spec), to_json(spec)):
        document = Document(Source.text(text, "x"))
        assert [problem.render() for problem in document.faults.problems] == []
        assert document.spec == spec


@pytest.mark.parametrize("text", ["yes", "0755", "1", "~", "", "true", "1:30"])
def test_strings_that_others_misread_stand_in_quotes(text):
    line = to_yaml(Spec(kernel=Kernel(cmdline=text))).splitlines()[1]
    assert line.removeprefix("  cmdline: ")[0] in "\"'"


def test_text_stands_in_blocks():
    spec = Spec(files=(File("etc/motd", contents="a\nb\n", mode=UNSET),))
    assert to_yaml(spec) == "files:\n  - path: etc/motd\n    contents: |\n      a\n      b\n"


def test_order_and_indentation(read):
    spec = read(
        "services: [{image: b, env: [A=1], name: a, binds: ['/a:/b']}]\n"
        "kernel: {cmdline: x, image: k}\n"
    )
    assert to_yaml(spec) == (
        "kernel:\n  image: k\n  cmdline: x\n"
        "services:\n  - name: a\n    image: b\n    binds:\n      - /a:/b\n    env:\n      - A=1\n"
    )
    assert list(json.loads(to_json(spec))) == ["kernel", "services"]


def test_long_lines_are_not_folded():
    assert len(to_yaml(Spec(init=("a" * 500, "b c " * 500))).splitlines()) == 3


def test_nothing_is_written_as_nothing():
    assert to_yaml(Spec()) == "{}\n"
