import msgspec
import pytest

from sampan.machine.forward import Forward
from sampan.machine.model import End, Ending
from sampan.machine.qmp import Json, Notice
from sampan.machine.view.event import (
    AgentDown,
    AgentUp,
    DiskError,
    Ended,
    Event,
    Panicked,
    PortExposed,
    PowerButtonPressed,
    Rebooted,
    State,
    StateChanged,
    translate,
)


@pytest.mark.parametrize(
    ("name", "data", "state", "event"),
    [
        ("STOP", {}, State.RUNNING, StateChanged(old=State.RUNNING, new=State.PAUSED)),
        ("RESUME", {}, State.STARTING, StateChanged(old=State.STARTING, new=State.RUNNING)),
        ("RESUME", {}, State.PAUSED, StateChanged(old=State.PAUSED, new=State.RUNNING)),
        ("STOP", {}, State.PAUSED, None),
        ("RESUME", {}, State.RUNNING, None),
        ("POWERDOWN", {}, State.RUNNING, PowerButtonPressed()),
        ("RESET", {"guest": True}, State.RUNNING, Rebooted(by_guest=True)),
        ("RESET", {"guest": False}, State.RUNNING, Rebooted(by_guest=False)),
        ("VSERPORT_CHANGE", {"id": "agent", "open": True}, State.RUNNING, AgentUp()),
        ("VSERPORT_CHANGE", {"id": "agent", "open": False}, State.RUNNING, AgentDown()),
        ("RTC_CHANGE", {"offset": 1}, State.RUNNING, None),
    ],
)
def test_what_a_notice_means(name, data, state, event):
    expected = event and msgspec.structs.replace(event, time_s=4.5)
    assert translate(Notice(name, data, 4.5), state) == expected


def test_disk_errors_name_the_disk():
    data: dict[str, Json] = {
        "device": "",
        "node-name": "disk0",
        "operation": "write",
        "action": "stop",
        "reason": "No space left on device",
        "nospace": True,
    }
    assert translate(Notice("BLOCK_IO_ERROR", data, 1.0), State.RUNNING) == DiskError(
        time_s=1.0, disk="disk0", operation="write", action="stop",
        reason="No space left on device", full=True,
    )  # fmt: skip


def test_a_disk_error_that_says_little_is_one_too():
    error = translate(Notice("BLOCK_IO_ERROR", {}, 1.0), State.RUNNING)
    assert error == DiskError(time_s=1.0, disk="", operation="", action="", reason="")


@pytest.mark.parametrize(
    "event",
    [
        StateChanged(seq=1, time_s=2.0, machine="web", old=State.STARTING, new=State.RUNNING),
        Panicked(seq=2, reason="no init"),
        PortExposed(seq=4, forward=Forward.parse("8080:80")),
        Ended(seq=3, end=End(ending=Ending.POWERED_OFF)),
    ],
)
def test_events_survive_json(event):
    data = msgspec.json.encode(event)
    assert msgspec.json.decode(data, type=Event) == event


def test_the_kind_of_an_event_is_in_its_json():
    assert msgspec.to_builtins(Panicked(seq=1, time_s=2.0, machine="web", reason="oops")) == {
        "event": "panicked", "seq": 1, "time_s": 2.0, "machine": "web", "reason": "oops",
    }  # fmt: skip
