"""How names are chosen is tested through `Store`, in test_store.py."""

import os
from pathlib import Path

import pytest

from sampan.machine import MachineSpec
from sampan.machine.registry import claim, place

SPEC = MachineSpec(kernel=Path("/k"))


def test_whether_a_machine_was_there(tmp_path, runtime_root):
    wish = claim.Wish(name="web", runtime_root=runtime_root)
    taken = claim.take(tmp_path, SPEC, wish, 1.0)
    assert (taken.path, taken.is_new, taken.owns_folder) == (tmp_path / "web", True, True)
    made, run = claim.begin(taken, SPEC, wish, by="1", now_s=1.0)
    assert (made.spec.name, run.supervisor.pid, run.ended) == ("web", os.getpid(), None)
    os.close(taken.lock)
    again = claim.take(tmp_path, SPEC, wish, 2.0)
    assert (again.path, again.is_new) == (tmp_path / "web", False)
    os.close(again.lock)


def test_something_else_in_the_way(tmp_path, runtime_root):
    (tmp_path / "root" / "web").mkdir(parents=True)
    wish = claim.Wish(name="web", exact=True, folder=tmp_path / "state", runtime_root=runtime_root)
    with pytest.raises(claim.NameTakenError, match="is in the way"):
        claim.take(tmp_path / "root", SPEC, wish, 1.0)
    assert not (tmp_path / "root" / "web" / place.LOCK).exists()
