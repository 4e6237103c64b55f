import json

import pytest

DISKS = ("-disk", "size=1M,format=raw", "-disk", "mine.img,size=1M,format=raw")


def test_machines_that_do_not_run(machines, sampan):
    record = machines.start("web", "button", "poweroff")
    said = sampan("rm", "web")
    assert said.status == 1
    assert said.err == "sampan: web runs\n  hint: sampan stop web first; or sampan rm -f web\n"
    sampan("stop", "web")
    assert sampan("rm", "web").out == "web\n"
    assert not record.folder.exists()
    assert sampan("rm", "web").status == 1


def test_by_force(machines, sampan):
    record = machines.start("web", "hang")
    said = sampan("rm", "-f", "web", "nope")
    assert (said.status, said.out, said.err) == (0, "web\n", "")
    assert not record.folder.exists()
    assert record.run.supervisor.wait(60)


@pytest.fixture
def stored(machines, sampan):
    """A machine that has ended, with a disk made for it, one of its user, and another file."""
    record = machines.start("web", "button", "poweroff", flags=DISKS)
    (record.folder / "precious").touch()
    sampan("stop", "web")
    return record


def test_disks_stay_and_it_says_where(stored, sampan, machines, tmp_path):
    disk = tmp_path / "web-state" / "disk0.img"
    said = sampan("rm", "web")
    assert (said.status, said.out) == (0, "web\n")
    assert said.err == f"sampan: web: its disk {disk} stays; --disks would have removed it\n"
    assert sorted(each.name for each in stored.folder.iterdir()) == ["disk0.img", "precious"]
    disk.write_bytes(b"data".ljust(1 << 20, b"\0"))
    again = machines.start("web", "button", "poweroff", flags=DISKS[:2])
    assert again.made.spec.disks[0].path == disk
    assert disk.read_bytes()[:4] == b"data"


def test_disks_that_were_made_for_it_go_if_that_is_said(stored, sampan, tmp_path):
    said = sampan("rm", "--disks", "web")
    disk = tmp_path / "web-state" / "disk0.img"
    assert (said.status, said.err) == (0, f"sampan: web: removed its disk {disk}\n")
    assert [each.name for each in stored.folder.iterdir()] == ["precious"]
    assert (tmp_path / "mine.img").exists()


def test_as_objects(stored, sampan, tmp_path):
    said = sampan("--json", "rm", "web")
    disk = str(tmp_path / "web-state" / "disk0.img")
    assert json.loads(said.out) == {"name": "web", "removed": [], "kept": [disk]}
    assert said.err == ""


def test_quietly(stored, sampan):
    assert sampan("-q", "rm", "web")[:] == (0, "web\n", "")
