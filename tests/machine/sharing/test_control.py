import asyncio
import json
from pathlib import Path

import pytest

from sampan.base.agent.change import CREATE, DELETE, RENAME, TOUCH, Change
from sampan.machine.device import Share
from sampan.machine.error import MachineError
from sampan.machine.sharing import control as control_module

CHANGES = [Change(CREATE, "a"), Change(RENAME, "b", "c/d"), Change(DELETE, "e")]


def test_changes_are_staged(served):
    control, server = served()
    assert asyncio.run(control.stage("token", CHANGES)) == CHANGES
    rows = [
        {"did": "create", "path": "a"}, {"did": "rename", "path": "b", "to": "c/d"},
        {"did": "delete", "path": "e"},
    ]  # fmt: skip
    assert server.said == [{"teller": "token"}, {"stage": rows}]


def test_a_folder_in_which_something_happened(served):
    control, server = served()
    asyncio.run(control.stage("token", [Change(TOUCH, "a")]))
    assert server.said[1] == {"stage": [{"did": "attrib", "path": "a"}]}


def test_what_the_guest_did_itself_is_not_told(served):
    def answer(said):
        return json.dumps({"staged": 1, "own": [0, 2]}).encode() + b"\n"

    control, _ = served(answer)
    assert asyncio.run(control.stage("token", CHANGES)) == [CHANGES[1]]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "has ended"),
        (b"nonsense\n", "makes no sense"),
        (b'{"staged": 2}\n', "staged 2 of 3 changes"),
        (b'{"error": "what is that?"}\n', "refuses: what is that?"),
    ],
)
def test_a_server_that_does_not_play_along(served, answer, message):
    control, _ = served(lambda said: answer)
    with pytest.raises(MachineError, match=message):
        asyncio.run(control.stage("token", CHANGES))


def test_a_server_that_says_nothing(served, monkeypatch):
    monkeypatch.setattr(control_module, "ANSWER_S", 0.01)
    control, _ = served(lambda said: b"")
    for message in ("does not answer", "has failed before"):
        with pytest.raises(MachineError, match=message):
            asyncio.run(control.stage("token", []))


def test_a_server_that_says_too_much(served, monkeypatch):
    monkeypatch.setattr(control_module, "_MAX_LINE", 10)
    control, _ = served(lambda said: b"x" * 100)

    async def scenario():
        with pytest.raises(MachineError):
            await control.stage("token", [])

    monkeypatch.setattr(control_module, "ANSWER_S", 0.2)
    asyncio.run(scenario())


def test_only_shares_with_events_have_one():
    shares = [
        Share(source=Path("/a"), tag="a", target="/a", events=True),
        Share(source=Path("/b"), tag="b"),
    ]
    with control_module.opened(shares) as controls:
        assert list(controls) == ["a"]
        assert controls["a"].theirs.fileno() > 0
    assert controls["a"].theirs.fileno() == -1
