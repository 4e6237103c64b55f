import json
import time

import pytest

from sampan.guest.remote import main, port
from sampan.guest.remote.server import Agent


def test_what_it_says_of_itself():
    assert json.loads(main.info())["agent"] == 1


def test_the_clock(monkeypatch):
    steps = []
    monkeypatch.setattr(time, "clock_settime", lambda clock, wall_s: steps.append((clock, wall_s)))
    main.set_clock(5.0)
    assert steps == [(time.CLOCK_REALTIME, 5.0)]


def test_a_machine_without_the_port(monkeypatch, capsys):
    """It waits for one, which here is a device that cannot be opened."""
    found = iter([None, None, "/no/such/port"])
    monkeypatch.setattr(port, "find", lambda: next(found))
    monkeypatch.setattr(main, "_LOOK_AGAIN_S", 0.0)
    assert main.main() == 1
    said = capsys.readouterr().err
    assert "has no port dev.sampan.agent.0" in said
    assert "cannot open /no/such/port: No such file" in said


def test_it_serves_the_port(monkeypatch):
    served = []

    class Served(Agent):
        def run(self):
            served.append(self)

    monkeypatch.setattr(main, "Agent", Served)
    monkeypatch.setattr(port, "find", lambda: "/dev/null")
    assert main.main() == 1
    assert len(served) == 1


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
