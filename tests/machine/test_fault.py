"""Places of faults; `test_document` and `test_strictyaml` have the faults themselves."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.errors import DocumentError, Where
from sampan.machine import Disk, document, fault


def problem(text, read=document.from_yaml):
    with pytest.raises(DocumentError) as caught:
        read(text.encode(), name="vm")
    [found] = caught.value.problems
    return found


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("kernel: k\ncpu: 2", "did you mean 'cpus'?"),
        ("kernel: k\ndisks: [{pth: d}]", "did you mean 'path'?"),
        ("kernel: k\nvsock: {pots: [1]}", "did you mean 'ports'?"),
        ("kernel: k\npublish: [{host-port: 1}]", "did you mean 'host_port'?"),
        ("kernel: k\ndisks: [{xyzzy: 1}]", f"there are {', '.join(Disk.__struct_fields__)}"),
        ("kernel: {image: x}", "a description of a system has to be built before it is run: sampan build"),
        ("kernel: k\ncpus: two", None),
    ],
)  # fmt: skip
def test_what_was_meant(text, hint):
    assert problem(text).hint == hint


def test_the_line_is_shown():
    found = problem("kernel: k\n# ä\ncpus: two\n")
    assert found.where == Where("vm", 3, 7, "cpus: two")
    assert found.render() == "vm:3:7: cpus: expected `int`, got `str`\n    cpus: two\n          ^"


def test_json_is_placed_too():
    text = '{\n\t"kernel": "k",\n\t"disks": [{"path": "d", "format": "raw2"}]\n}'
    found = problem(text, document.from_json)
    assert (found.path, found.where.line, found.where.column) == ("disks[0].format", 3, 36)
    found = problem('{"kernel": "k",\n "cpus": }', document.from_json)
    assert (found.message, found.where.line, found.where.column) == (
        "not JSON: invalid character", 2, 10,
    )  # fmt: skip


def test_a_long_line_is_not_shown():
    assert problem('{"kernel": "k", "cpu": "' + "x" * 500 + '"}').where.text == ""


def test_what_is_nested_deeply_is_not_looked_into():
    text = '{"kernel": ' + "[" * 900 + "]" * 900 + "}"
    assert problem(text, document.from_json).where == Where("vm", 1, 1)
    assert fault.depth("[[1], 2]") == 2
    assert fault.depth("[" * 10000) == fault.MAX_DEPTH + 1


def test_what_is_no_yaml_has_no_place():
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert({"a": "b"}, dict[str, int])
    [found] = fault.invalid("\0", "vm", caught.value).problems
    assert found.where == Where("vm", 1, 1)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_spec_or_a_fault(data):
    for read in (document.from_json, document.from_yaml):
        with pytest.raises(DocumentError):
            read(b"{" + data, name="vm")
