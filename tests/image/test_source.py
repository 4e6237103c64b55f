import hashlib

import pytest

from sampan.errors import DocumentError
from sampan.image.source import read_sources
from sampan.image.step import HostFile
from sampan.spec.model import File, Spec


def spec(*sources, **keys):
    return Spec(files=tuple(File(path="f", source=source, **keys) for source in sources))


def test_found_and_measured(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    found = read_sources(spec(str(tmp_path / "x"), "~/x"), home=tmp_path)
    file = HostFile(tmp_path / "x", 3, hashlib.sha256(b"abc").digest())
    assert found == {0: file, 1: file}


def test_missing_ones_are_told_together(tmp_path):
    with pytest.raises(DocumentError) as caught:
        read_sources(spec("/no/x", str(tmp_path)), home=tmp_path)
    assert [problem.path for problem in caught.value.problems] == [
        "files[0].source", "files[1].source",
    ]  # fmt: skip
    assert caught.value.problems[0].message == "/no/x: no such file or directory"


def test_optional_ones_are_left_out(tmp_path):
    assert read_sources(spec("/no/x", optional=True), home=tmp_path) == {}


def test_optional_ones_that_are_there_must_be_files(tmp_path):
    with pytest.raises(DocumentError, match="is a directory"):
        read_sources(spec(str(tmp_path), optional=True), home=tmp_path)


def test_pipes_and_devices_are_no_sources(tmp_path):
    with pytest.raises(DocumentError, match="/dev/null: not a regular file"):
        read_sources(spec("/dev/null"), home=tmp_path)
