import json

from sampan.cli import events
from sampan.machine import End, Ending
from sampan.machine.view.event import Ended, PowerButtonPressed


def test_what_happened(machines, sampan):
    machines.start("web", "hang")
    sampan("pause", "web")
    said = sampan("events", "--json", "web")
    assert [(each["event"], each["new"]) for each in map(json.loads, said.out.splitlines())] == [
        ("state-changed", "running"), ("state-changed", "paused"),
    ]  # fmt: skip
    assert sampan("events", "--after", "1", "web").out.split()[2:] == [
        "web", "state-changed", "old=running", "new=paused",
    ]  # fmt: skip
    sampan("kill", "web")
    assert sampan("events", "web").status == 1


def test_lines():
    assert events.line(PowerButtonPressed(seq=3, machine="web")).endswith(
        "web power-button-pressed\n"
    )
    end = End(ending=Ending.DIED, detail="no memory")
    assert events.line(Ended(seq=3, machine="web", end=end)).endswith(
        "web ended end=died,'no memory'\n"
    )
