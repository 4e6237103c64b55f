import pytest

from sampan.errors import DocumentError, Problem, SampanError, Where
from sampan.spec import position
from sampan.spec.source import Source

ONE = """\
kernel: {image: "k:1", cmdline: quiet}
services:
  - name: a
    image: a:1
  - name: b
    image: b:1
"""
TWO = """\
kernel:
  image: k:2
services: [{name: c, image: "c:1"}]
init:
  - i:1
"""


@pytest.fixture
def sources():
    return [Source.text(ONE, "one.yml"), Source.text(TWO, "two.yml")]


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("services[0].image", "one.yml:4:12"),
        ("services[1].image", "one.yml:6:12"),
        ("services[2].image", "two.yml:3:29"),
        ("services[1].binds", "one.yml:5:5"),
        ("services[1].binds[3].x", "one.yml:5:5"),
        ("init[0]", "two.yml:5:5"),
        ("kernel.image", "two.yml:2:10"),
        ("kernel.cmdline", "one.yml:1:33"),
        ("kernel.tar", "two.yml:2:3"),
        ("services[3].image", None),
        ("files[0].path", None),
        ("trust.org", None),
        ("", None),
    ],
)
def test_paths_of_the_merged_description(sources, path, place):
    found = position.find(sources, path)
    assert (None if found is None else str(found)) == place


def test_documents_that_hold_something_else():
    sources = [Source.text(text, "x") for text in ("- 1", "services: 1", "a", "a: [")]
    assert position.find(sources, "services[0].image") is None
    assert position.find(sources, "kernel.image") is None
    assert position.find([Source.text("a: [", "x")], "kernel.image") is None


def test_faults_of_a_description_get_their_places(sources):
    there = Where("other.yml", 1, 1)
    error = DocumentError(
        [Problem("services[0].image", "bad", hint="do"), Problem("files[0]", "bad", there)]
    )
    found = position.locate(error, sources)
    assert isinstance(found, DocumentError)
    first, second = found.problems
    assert str(first.where) == "one.yml:4:12"
    assert first.hint == "do"
    assert second.where == there
    assert "    image: a:1\n               ^" in str(found)


def test_other_errors_say_where_if_they_know_what(sources):
    error = SampanError("services[0].image: no a:1")
    assert str(position.locate(error, sources)) == "services[0].image: no a:1"
    error.path = "services[0].image"
    assert str(position.locate(error, sources)) == "one.yml:4:12: services[0].image: no a:1"
