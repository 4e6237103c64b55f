import asyncio
import sys
import threading
from pathlib import Path

import pytest

from sampan.errors import ToolMissingError
from sampan.machine.agent.client import Agent
from sampan.machine.agent.error import NoAgentError
from sampan.machine.agent.link import Link
from sampan.machine.device import Share
from sampan.machine.error import MachineError
from sampan.machine.sharing import watch as share_event
from sampan.machine.sharing.watch import LONGEST_S, PENDING, QUIET_S, Changes

SHARE = Share(source=Path("/home/me/src"), tag="share0", target="/src", events=True)


class Files:
    """What files look like, as the test says; each change makes another look."""

    def __init__(self):
        self.looks = {}

    def look(self, path):
        return self.looks.get(path)

    def change(self, path):
        self.looks[path] = (1, 2, 3, len(self.looks) + self.looks.get(path, (0,) * 4)[3] + 1)


@pytest.fixture
def files():
    return Files()


@pytest.fixture
def changes(files):
    return Changes(SHARE, files.look)


def test_a_change_is_told_once_it_is_quiet(changes, files):
    files.change("/home/me/src/a/b")
    assert changes.next_s(5.0) is None
    changes.noted("/home/me/src/a/b", 5.0)
    assert changes.take(5.0) == []
    changes.noted("/home/me/src/a/b", 5.5)
    assert changes.next_s(5.5) == pytest.approx(QUIET_S)
    assert changes.take(5.4 + QUIET_S) == []
    assert changes.take(5.5 + QUIET_S) == ["/src/a/b"]
    assert changes.next_s(9.0) is None


def test_a_file_that_is_never_quiet_is_told_of_all_the_same(changes, files):
    now = 0.0
    while now < LONGEST_S:
        files.change("/home/me/src/log")
        changes.noted("/home/me/src/log", now)
        assert changes.take(now) == []
        now += 0.5
    assert changes.take(now) == ["/src/log"]


def test_what_looks_as_before_is_not_told_again(changes, files):
    path = "/home/me/src/a"
    files.change(path)
    changes.noted(path, 0.0)
    assert changes.take(10.0) == ["/src/a"]
    changes.noted(path, 11.0)  # the agent's doing
    assert changes.take(20.0) == []
    files.change(path)
    changes.noted(path, 21.0)
    assert changes.take(30.0) == ["/src/a"]


def test_what_is_gone_is_told_every_time(changes):
    for now in (0.0, 10.0):
        changes.noted("/home/me/src/gone", now)
        assert changes.take(now + QUIET_S) == ["/src/gone"]


def test_a_flood_is_the_folder_that_changed(changes, files):
    for number in range(PENDING + 50):
        files.change(f"/home/me/src/{number}")
        changes.noted(f"/home/me/src/{number}", 0.0)
    told = changes.take(10.0)
    assert len(told) == PENDING + 1
    assert told[-1] == "/src"


def test_what_it_remembers_is_bounded(changes, files, monkeypatch):
    monkeypatch.setattr(share_event, "REMEMBERED", 2)
    for name in "abc":
        files.change(f"/home/me/src/{name}")
        changes.noted(f"/home/me/src/{name}", 0.0)
    assert changes.take(10.0) == ["/src/a", "/src/b", "/src/c"]
    for name in "cba":
        changes.noted(f"/home/me/src/{name}", 10.0)
    assert changes.take(20.0) == ["/src/a"]  # forgotten, and told once more


def test_looks_of_files(tmp_path):
    file = tmp_path / "file"
    assert share_event.look(str(file)) is None
    file.write_text("a")
    first = share_event.look(str(file))
    file.write_text("ab")
    assert share_event.look(str(file)) != first
    (tmp_path / "link").symlink_to("none")
    assert share_event.look(str(tmp_path / "link")) is not None


def test_a_folder_is_watched_and_its_links_are_not(tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (inside / "link").symlink_to(outside)
    seen, last = [], threading.Event()

    def noted(path):
        seen.append(path)
        if path == str(inside / "last"):
            last.set()

    stop = share_event.watch(str(inside), noted)
    try:
        (outside / "file").touch()
        (inside / "file").touch()
        (inside / "file").rename(inside / "name")
        (inside / "last").touch()
        assert last.wait(30)
    finally:
        stop()
    assert {str(inside / name) for name in ("file", "name", "last")} <= set(seen)
    assert not [path for path in seen if "outside" in path or "link" in path]


def test_a_folder_that_cannot_be_watched(tmp_path):
    with pytest.raises(MachineError, match="cannot watch"):
        share_event.watch(str(tmp_path / "none"), lambda path: None)


def test_the_library_is_needed(monkeypatch):
    monkeypatch.setitem(sys.modules, "watchdog", None)
    with pytest.raises(ToolMissingError, match="the library watchdog") as caught:
        share_event.watch("/tmp", lambda path: None)
    assert "sampan[share]" in caught.value.hint


class FakeAgent(Agent):
    """Takes what is to be replayed; refuses the first call."""

    def __init__(self, wanted):
        super().__init__(Link())
        self.calls = []
        self.refused, self.done = asyncio.Event(), asyncio.Event()
        self._wanted = wanted

    async def replay(self, paths):
        self.calls.append(list(paths))
        if not self.refused.is_set():
            self.refused.set()
            raise NoAgentError("nobody answers")
        if self._wanted in paths:
            self.done.set()


def test_telling(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(share_event, "QUIET_S", 0.0)
    share = Share(source=tmp_path, tag="a", target="/src", events=True)
    silent = Share(source=tmp_path / "none", tag="b", target="/b")

    async def scenario():
        agent = FakeAgent("/src/second")
        async with share_event.telling((share, silent), agent):
            write("first")
            await asyncio.wait_for(agent.refused.wait(), 30)
            write("second")
            await asyncio.wait_for(agent.done.wait(), 30)
        return agent.calls

    def write(name):
        (tmp_path / name).write_text(name)

    calls = asyncio.run(scenario())
    assert calls[0] == ["/src/first"]
    assert "are not told to the guest: nobody answers" in caplog.text


def test_names_that_no_call_can_say(tmp_path, monkeypatch):
    monkeypatch.setattr(share_event, "QUIET_S", 0.0)
    share = Share(source=tmp_path, tag="a", target="/src", events=True)

    async def scenario():
        agent = FakeAgent("/src/b")
        teller = share_event.Teller(share, agent)
        await teller._tell(["/src/a\udcff", "/src/b"])
        return agent.calls

    assert asyncio.run(scenario()) == [["/src/b"]]
