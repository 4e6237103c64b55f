"""Where states of machines with names are kept; the methods are tested through tests/cli."""

import pytest

from sampan.desktop import network, saved
from sampan.errors import UsageError
from sampan.machine import document
from sampan.machine.error import MachineError
from sampan.machine.registry import place


def test_places(tmp_path):
    assert saved.folder_of(tmp_path, "clean") == tmp_path / "snapshots/clean"
    for tag in ("", "..", "a/b", ".hidden"):
        with pytest.raises(UsageError, match="no name for a snapshot"):
            saved.folder_of(tmp_path, tag)
    with pytest.raises(MachineError, match="there is no snapshot 'clean'"):
        saved.found(tmp_path, "clean")


def test_what_is_damaged_is_not_listed_but_told_of(tmp_path, caplog):
    (tmp_path / "snapshots/clean").mkdir(parents=True)
    assert saved.snapshots(tmp_path) == ()  # it is being written
    assert caplog.messages == []
    (tmp_path / "snapshots/clean/suspended.json").write_text("{")
    assert saved.snapshots(tmp_path) == ()
    assert caplog.messages[0].startswith("the snapshot clean cannot be used: ")
    saved.remove_snapshot(tmp_path, "clean")
    assert not (tmp_path / "snapshots/clean").exists()


def test_how_it_was_connected(tmp_path):
    wired = network.Options(publish=("8080:80",), address="192.168.65.9")
    (tmp_path / "network.json").write_bytes(document.encode(wired, name="x"))
    assert saved.connected(tmp_path) == wired
    (tmp_path / "network.json").unlink()
    with pytest.raises(MachineError, match="cannot be read"):
        saved.connected(tmp_path)


def test_what_a_killed_process_left(tmp_path):
    for name in ("saved", "snapshots/half", "snapshots/whole"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "memory-0").write_text("half")
    (tmp_path / "snapshots/whole/suspended.json").write_text("{")
    saved.tidy(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["snapshots"]
    assert [each.name for each in (tmp_path / "snapshots").iterdir()] == ["whole"]
    (tmp_path / saved.SAVED).mkdir()
    (tmp_path / place.SUSPENDED).write_text("{}")
    saved.tidy(tmp_path)
    assert (tmp_path / saved.SAVED).exists()


def test_going_on(tmp_path):
    (tmp_path / place.SUSPENDED).write_text("{}")
    (tmp_path / saved.SAVED).mkdir()
    saved.forget(tmp_path)
    saved.forget(tmp_path)
    assert list(tmp_path.iterdir()) == []
