import os
from pathlib import Path

import pytest

from sampan.net.runtime.service.follow import EVERY_S, MAX_SIZE, FollowedFile


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_text("one")
    return path


def test_text_is_told_once(path):
    file = FollowedFile(path)
    assert file.look(0) == "one"
    assert file.look(EVERY_S) is None
    path.write_text("second")
    assert file.look(EVERY_S * 2) == "second"


def test_not_looked_at_more_often_than_that(path):
    file = FollowedFile(path)
    file.look(0)
    path.write_text("second")
    assert file.look(EVERY_S * 0.9) is None
    assert file.look(EVERY_S) == "second"


def test_replaced_by_another_of_the_same_length(path, tmp_path):
    file = FollowedFile(path)
    file.look(0)
    other = tmp_path / "other"
    other.write_text("two")
    status = path.stat()
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(path)
    assert file.look(EVERY_S) == "two"


def test_gone_for_a_moment(path):
    file = FollowedFile(path)
    file.look(0)
    path.unlink()
    assert file.look(EVERY_S) is None
    assert file.problem == f"cannot read {path}: No such file or directory"
    path.write_text("back")
    assert file.look(EVERY_S * 2) == "back"
    assert file.problem == ""


def test_what_is_no_text_and_too_long(path):
    path.write_bytes(b"\xff" + b"x" * MAX_SIZE)
    text = FollowedFile(path).look(0)
    assert text == "\ufffd" + "x" * (MAX_SIZE - 1)


def test_what_is_no_file(path):
    path.unlink()
    os.mkfifo(path)
    assert FollowedFile(path).look(0) == ""
    folder = FollowedFile(path.parent)
    assert folder.look(0) is None
    assert "Is a directory" in folder.problem
    assert path.parent not in (each.resolve() for each in Path("/proc/self/fd").iterdir())
