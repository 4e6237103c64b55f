import importlib
import os
import sys
from pathlib import Path

import pytest

from sampan.guest.remote import job, place
from sampan.guest.remote.fault import CallError
from sampan.guest.remote.place import Place


def test_here_is_here():
    here = Place(None)
    here.enter()
    assert Path(here.network_table("tcp")).exists()
    assert Path(here.terminals).exists()
    assert Place(1).network_table("udp6") == "/proc/1/net/udp6"


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_nothing_is_imported_from_another_place():
    """In a child, as always; its own mounts are as good a place as any."""

    def enter():
        Place(os.getppid()).enter()
        try:
            importlib.import_module("this_is_code_of_a_container")
        except (ModuleNotFoundError, ImportWarning):
            return 3 if sys.path == [] else 4
        return 5

    each = job.start(enter, has_input=False)
    status = os.waitpid(each.pid, 0)[1]
    each.close()
    assert os.waitstatus_to_exitcode(status) == 3


def test_services(tmp_path, monkeypatch):
    services, tasks = tmp_path / "services", tmp_path / "tasks"
    monkeypatch.setattr(place, "SERVICES", str(services))
    monkeypatch.setattr(place, "TASKS", str(tasks))
    for path, text in (
        (services / "web" / "pid", str(os.getpid())),
        (services / "gone" / "pid", "999999999"),
        (services / "broken" / "pid", "x"),
        (tasks / "db" / "init.pid", f"{os.getpid()}\n"),
    ):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    for name in ("web", "db"):
        assert place.service(name).network_table("tcp") == f"/proc/{os.getpid()}/net/tcp"
    for name in ("gone", "broken", "none"):
        with pytest.raises(CallError, match=f"no service {name} runs"):
            place.service(name)
    for name in ("", "..", "a/b"):
        with pytest.raises(CallError, match="cannot be the name"):
            place.service(name)


def test_programs(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "program").touch(0o755)
    assert place.find(("folder", "file"), str(tmp_path)) is None
    assert place.find(("file", "program"), f"/none:{tmp_path}") == f"{tmp_path}/program"


def test_the_words_for_a_container(tmp_path, monkeypatch):
    monkeypatch.setattr(place, "find", lambda names: f"/usr/bin/{names[0]}")
    plain = place.container_argv("web", ["ls", "-l"], env={}, cwd="", user="", terminal=False)
    assert plain == ["/usr/bin/crun", "exec", "web", "ls", "-l"]
    monkeypatch.setattr(place, "RUNTIME_STATE", str(tmp_path))
    (tmp_path / "web").mkdir()
    full = place.container_argv(
        "web", ["sh"], env={"A": "b"}, cwd="/srv", user="33:33", terminal=True
    )
    assert full == [
        "/usr/bin/crun", "--root", str(tmp_path), "exec", "--tty", "--cwd", "/srv",
        "--user", "33:33", "--env", "A=b", "web", "sh",
    ]  # fmt: skip
    with pytest.raises(CallError, match="a user is a number, not 'www'"):
        place.container_argv("web", ["sh"], env={}, cwd="", user="www", terminal=False)
    monkeypatch.setattr(place, "find", lambda names: None)
    with pytest.raises(CallError, match="no OCI runtime"):
        place.container_argv("web", ["sh"], env={}, cwd="", user="", terminal=False)
