"""What children do, each in a child of its own."""

import json
import os

import pytest

from sampan.base.agent import tree
from sampan.guest.remote import account, job, place, work
from sampan.guest.remote.call import Params
from sampan.guest.remote.place import Place


@pytest.fixture
def do(monkeypatch):
    """Runs work in a child; what it said, and its status."""

    def doing(function, where=None, given=b"", **params):
        each = job.start(
            lambda: work.run(function, Params(params), where or Place(None)), has_input=True
        )
        each.received(given)
        each.ended()
        said = {job.OUT: b"", job.ERR: b""}
        for descriptor, stream in list(each.outputs.items()):
            os.set_blocking(descriptor, True)
            while data := os.read(descriptor, 1 << 16):
                said[stream] += data
        status = os.waitstatus_to_exitcode(os.waitpid(each.pid, 0)[1])
        each.close()
        return status, said[job.OUT].decode(), said[job.ERR].decode()

    return doing


def test_a_program(do, tmp_path):
    argv = ["sh", "-c", "echo $A $HOME; pwd; id -u"]
    status, out, err = do(work.execute, argv=argv, env={"A": "b"}, cwd=str(tmp_path))
    assert (status, out, err) == (0, f"b /root\n{tmp_path}\n{os.getuid()}\n", "")


def test_a_program_by_its_path(do):
    assert do(work.execute, argv=["/bin/echo", "x"])[:2] == (0, "x\n")


@pytest.mark.parametrize(
    ("params", "status", "said"),
    [
        ({"argv": ["no-such"]}, 127, "no-such: no such program"),
        ({"argv": ["/no/such"]}, 127, "No such file"),
        ({"argv": ["/etc/passwd"]}, 126, "Permission denied"),
        ({"argv": ["true"], "cwd": "/no/such"}, 127, "/no/such: No such file"),
        ({"argv": []}, 1, "argv is empty"),
        ({"argv": ["true"], "user": "no-such"}, 1, "there is no user 'no-such'"),
        ({"argv": ["true"], "container": "none"}, 1, "no service none runs"),
    ],
)
def test_programs_that_cannot_be_started(do, params, status, said):
    ended, out, err = do(work.execute, **params)
    assert (ended, out) == (status, "")
    assert said in err


def test_a_home_that_may_not_be_entered(do, tmp_path, monkeypatch):
    closed = tmp_path / "home"
    closed.mkdir(0)
    somebody = 65534 if os.getuid() == 0 else os.getuid()
    found = account.Account(somebody, os.getgid(), (), str(closed))
    monkeypatch.setattr(account, "find_here", lambda user: found)
    user = "somebody" if os.getuid() == 0 else ""
    said = do(work.execute, argv=["sh", "-c", "pwd; echo $HOME"], user=user)
    assert said == (0, f"/\n{closed}\n", "")


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_as_somebody_else(do):
    assert do(work.execute, argv=["id", "-u"], user="65534:65534")[1] == "65534\n"


def test_in_a_container(do, tmp_path, monkeypatch):
    """With the service that this test is, and a runtime that only says what it was asked."""
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "pid").write_text(str(os.getpid()))
    runtime = tmp_path / "crun"
    runtime.write_text('#!/bin/sh\necho "$@"\n')
    runtime.chmod(0o755)
    monkeypatch.setattr(place, "SERVICES", str(tmp_path))
    monkeypatch.setattr(place, "SEARCH_PATH", "/usr/bin:/bin")
    monkeypatch.setattr(place, "find", lambda names: str(runtime))
    assert (
        do(work.execute, argv=["ls"], container="web", cwd="/srv")[1] == "exec --cwd /srv web ls\n"
    )


def test_a_place_that_cannot_be_entered(do):
    status, _, err = do(work.execute, where=Place(999_999_999), argv=["true"])
    assert status == work.NO_PLACE
    assert "cannot enter the system" in err


def test_copies(do, tmp_path):
    (tmp_path / "file").write_text("text")
    packed = b"".join(tree.pack(str(tmp_path / "file")))
    assert do(work.put, given=packed, target=str(tmp_path), name="copy")[0] == 0
    assert (tmp_path / "copy").read_text() == "text"
    assert do(work.put, given=packed[:-2], target=str(tmp_path), name="copy") == (
        1, "", "the copy broke off\n",
    )  # fmt: skip
    status, out, _ = do(work.get, source=str(tmp_path / "file"))
    assert status == 0
    assert json.loads(out[2 : out.index("}") + 1])["size"] == 4


def test_changes_are_replayed_where_somebody_plays_along(do, tmp_path):
    asked = {"target": str(tmp_path), "token": "token"}
    status, _, err = do(work.replay, changes=[["mkdir", "a", ""]], **asked)
    assert status == 1
    assert "lets changes be told" in err
    assert do(work.replay, changes=[["mkdir"]], **asked)[2] == "['mkdir'] is not a change\n"
    assert list(tmp_path.iterdir()) == []


def test_a_mount_that_is_refused(do, tmp_path):
    status, _, err = do(work.mount, source="x", target=str(tmp_path / "at"), type="no-such-type")
    assert status != 0
    assert str(tmp_path / "at") in err
    assert (tmp_path / "at").is_dir()
