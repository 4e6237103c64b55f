import pytest

from sampan.errors import SampanError, UsageError
from sampan.spec import source as module
from sampan.spec.source import Faults, Source


def test_a_file_knows_its_folder(tmp_path):
    path = tmp_path / "a.yml"
    path.write_bytes(b"\xef\xbb\xbfinit: []\n")
    source = Source.file(path)
    assert (source.name, source.content, source.folder) == (str(path), "init: []\n", tmp_path)


def test_a_missing_file(tmp_path):
    with pytest.raises(UsageError) as caught:
        Source.file(tmp_path / "no.yml")
    assert str(caught.value) == f"{tmp_path}/no.yml: no such file"
    assert caught.value.hint == "check the path"


def test_a_folder_is_no_document(tmp_path):
    with pytest.raises(UsageError, match="is a folder, not a file") as caught:
        Source.file(tmp_path)
    assert caught.value.hint == "name the YAML file in it"


def test_a_file_that_cannot_be_read(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(SampanError, match="cannot be read: Not a directory"):
        Source.file(tmp_path / "a" / "b")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a: \xe9", "lone \ud800 surrogate"])
def test_only_utf8(content):
    with pytest.raises(UsageError, match="x: not UTF-8 text"):
        Source.text(content, "x")


def test_too_long(monkeypatch):
    monkeypatch.setattr(module, "MAX_BYTES", 10)
    with pytest.raises(UsageError, match="longer than"):
        Source.text("a" * 11, "x")


def test_where_counts_lines_as_yaml_does():
    source = Source.text("a\r\nb\rc\u2028d\te\x07", "x")
    assert [source.where(line, 0).text for line in range(5)] == ["a", "b", "c", "d\te?", ""]
    assert str(source.where(3, 2)) == "x:4:3"


def test_long_lines_are_cut():
    source = Source.text("a" * 5000, "x")
    assert len(source.where(0, 3).text) == 160
    assert source.where(0, 3000).text == ""


def test_faults_are_ordered_and_told_once():
    faults = Faults(Source.text("ab\ncd", "x"))
    faults.add("p", "later", (1, 0))
    faults.add("q", "sooner", (0, 1), lambda: "hint")
    faults.add("p", "later", (1, 0))
    assert [problem.message for problem in faults.problems] == ["sooner", "later"]
    assert faults.problems[0].render() == "x:1:2: q: sooner\n    ab\n     ^\n    hint"
    assert len(faults) == 2


def test_no_more_faults_than_people_read():
    faults = Faults(Source.text("", "x"))
    for number in range(module.MAX_PROBLEMS):
        faults.add("", str(number), (0, 0))
    assert faults.full
    faults.add("", "more", (0, 0), lambda: pytest.fail("the hint is not looked for"))
    assert len(faults.problems) == module.MAX_PROBLEMS
