"""What is performed, in a folder of the host: nothing plays along here, so that it can be seen."""

from pathlib import Path

import pytest

from sampan.base.agent.change import Change
from sampan.guest.remote import performance
from sampan.guest.remote.fault import CallError


@pytest.fixture
def folder(tmp_path):
    share = tmp_path / "share"
    (share / "sub").mkdir(parents=True)
    (share / "file").write_text("text")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("text")
    (share / "token").touch()
    (share / "link").symlink_to("../outside")
    return share


def perform(folder, *lines, token="token"):
    changes = [performance.change([*line.split(" "), "", ""][:3]) for line in lines]
    performance.perform(str(folder), token, changes)


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_what_was_done_is_done(folder):
    perform(
        folder, "create sub/a", "mkdir sub/b", "symlink sub/c", "rename file sub/b/d", "create x",
        "delete x",
    )  # fmt: skip
    assert names(folder) == ["link", "sub", "sub/a", "sub/b", "sub/b/d", "sub/c", "token"]
    perform(folder, "delete sub/b/d", "rmdir sub/b", "delete sub/c")
    assert names(folder) == ["link", "sub", "sub/a", "token"]


def test_what_is_in_a_file_stays(folder):
    before = (folder / "file").stat()
    perform(folder, "modify file", "attrib file", "attrib sub", "touch sub", "touch ", "attrib ")
    after = (folder / "file").stat()
    assert (folder / "file").read_text() == "text"
    assert after.st_ctime_ns > before.st_ctime_ns
    assert (after.st_mode, after.st_size) == (before.st_mode, before.st_size)


def test_what_cannot_be_done_is_left_out(folder, monkeypatch):
    monkeypatch.setattr(performance, "FORGOTTEN_S", 0.0)
    perform(folder, "create file", "delete none", "mkdir none/a", "rename none b", "create last")
    assert "last" in names(folder)
    assert (folder / "file").read_text() == "text"


def test_what_is_there_is_tried_again(folder, monkeypatch):
    monkeypatch.setattr(performance, "FORGOTTEN_S", 0.0)
    tried = []

    def make(root, each):
        tried.append(each.path)
        if tried.count(each.path) == 1:
            raise FileExistsError

    monkeypatch.setitem(performance._DOINGS, "create", make)
    perform(folder, "create a", "create file", "modify file", "create b")
    assert tried == ["a", "file", "b", "a", "b"]


@pytest.mark.parametrize(
    "line",
    [
        "create link/new", "delete link/file", "modify link/file", "rename link/file x",
        "rename file link/x", "modify hop", "mkdir link/sub", "attrib link/file",
    ],
)  # fmt: skip
def test_no_link_leads_out(folder, line, tmp_path):
    (folder / "hop").symlink_to("../outside/file")
    outside = tmp_path / "outside"
    before = outside.stat().st_ctime_ns, (outside / "file").stat().st_ctime_ns
    perform(folder, line)
    assert (outside.stat().st_ctime_ns, (outside / "file").stat().st_ctime_ns) == before
    assert (folder / "file").exists()


def test_nothing_is_done_where_nobody_plays_along(folder):
    for token in ("none", "sub/token", "../share", "..", ""):
        with pytest.raises(CallError, match="lets changes be told"):
            perform(folder, "delete file", token=token)
    with pytest.raises(FileNotFoundError):
        perform(folder / "none", "delete file")
    assert (folder / "file").exists()


def test_it_is_known_while_it_does_something(folder, monkeypatch):
    known = []

    def seen(root, each):
        links = {path.readlink() for path in Path("/proc/self/fd").iterdir() if path.exists()}
        known.append(folder / "token" in links)

    monkeypatch.setitem(performance._DOINGS, "mkdir", seen)
    perform(folder, "mkdir a")
    assert known == [True]


@pytest.mark.parametrize(
    "said",
    [
        "create", ["create", "a"], ["create", "a", "b"], ["rename", "a", ""], ["dance", "a", ""],
        ["create", "../a", ""], ["create", "a//b", ""], ["create", "/a", ""], ["create", 1, ""],
        ["rename", "a", "b/.."], ["create", "a\0b", ""], [], {}, None,
    ],
)  # fmt: skip
def test_what_is_no_change(said):
    with pytest.raises(CallError, match="is not a change"):
        performance.change(said)


def test_changes():
    assert performance.change(["rename", "a/b", "c"]) == Change("rename", "a/b", "c")
    assert performance.change(["touch", "", ""]) == Change("touch", "")
