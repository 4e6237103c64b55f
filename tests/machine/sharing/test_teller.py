import asyncio

import pytest

from sampan.base.agent.change import CREATE, MKDIR, TOUCH, Change
from sampan.machine.agent.client import Agent
from sampan.machine.agent.error import NoAgentError
from sampan.machine.agent.link import Link
from sampan.machine.error import MachineError
from sampan.machine.sharing import teller
from sampan.machine.sharing.teller import Teller, telling
from sampan.machine.sharing.tree import Tree


class FakeAgent(Agent):
    """Takes what is to be replayed; refuses the first call if it is `late`."""

    def __init__(self, *, late=False):
        super().__init__(Link())
        self.calls = []
        self.asked = 0
        self.told: asyncio.Queue[object] = asyncio.Queue()
        self._late = late

    async def ready(self, *, deadline_s=None):
        self.asked += 1

    async def replay(self, target, token, changes):
        assert self.asked > len(self.calls)  # before each
        self.calls.append((target, token, list(changes)))
        refused, self._late = self._late, False
        for each in changes:
            self.told.put_nowait(None if refused else each)
        if refused:
            raise NoAgentError("nobody answers")

    async def wait_for(self, wanted):
        async with asyncio.timeout(30):
            while await self.told.get() != wanted:
                pass


@pytest.fixture
def run(monkeypatch):
    """Runs a scenario while a folder is told of."""

    def running(control, scenario, *, late=False):
        async def told():
            agent = FakeAgent(late=late)
            monkeypatch.setattr(teller, "Agent", lambda link: agent)
            async with telling({"a": control}, agent.link):
                await scenario(agent)
            return agent.calls

        return asyncio.run(told())

    return running


def test_telling(run, tmp_path, served):
    control, server = served(folder=tmp_path)

    async def scenario(agent):
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "file").write_text("x")
        await agent.wait_for(Change(CREATE, "folder/file"))

    calls = run(control, scenario)
    assert {target for target, _, _ in calls} == {"/src"}
    changes = [each for _, _, changes in calls for each in changes]
    assert changes[:2] == [Change(MKDIR, "folder"), Change(CREATE, "folder/file")]
    tokens = [token for _, token, _ in calls]
    assert len({*tokens}) == len(tokens)
    said = [each["teller"] for each in server.said if "teller" in each]
    assert said == tokens


def test_an_agent_that_is_not_there_yet(run, tmp_path, served, caplog):
    control, _ = served(folder=tmp_path)

    async def scenario(agent):
        (tmp_path / "first").mkdir()
        await agent.wait_for(None)
        (tmp_path / "second").mkdir()
        await agent.wait_for(Change(MKDIR, "second"))

    run(control, scenario, late=True)
    assert "are not told to the guest: nobody answers" in caplog.text


def test_a_server_that_is_gone(run, tmp_path, served):
    control, server = served(lambda said: None, tmp_path)

    async def scenario(agent):
        (tmp_path / "file").touch()
        await asyncio.to_thread(server.join)

    assert run(control, scenario) == []


def test_much_is_told_in_several_calls(run, tmp_path, served, monkeypatch):
    monkeypatch.setattr(teller, "BATCH", 3)
    control, _ = served(folder=tmp_path)

    async def scenario(agent):
        for number in range(10):
            (tmp_path / f"{number}").mkdir()
        await agent.wait_for(Change(MKDIR, "9"))

    calls = run(control, scenario)
    assert max(len(changes) for _, _, changes in calls) <= 3
    assert [each.path for _, _, changes in calls for each in changes] == [*"0123456789"]


def test_names_that_no_call_can_say(run, tmp_path, served):
    control, server = served(folder=tmp_path)

    async def scenario(agent):
        (tmp_path / "a\udcff").mkdir()
        (tmp_path / "b").mkdir()
        await agent.wait_for(Change(MKDIR, "b"))

    run(control, scenario)
    staged = [row["path"] for each in server.said for row in each.get("stage", ())]
    assert staged == ["b"]


def test_what_was_missed(tmp_path, served, caplog):
    control, _ = served(folder=tmp_path)

    async def scenario():
        agent = FakeAgent()
        told = Teller(control, agent)
        await told.start()
        told._lost()
        await agent.wait_for(Change(TOUCH, ""))
        await told.close()

    asyncio.run(scenario())
    assert "could be heard" in caplog.text


def test_a_folder_that_cannot_be_watched(run, tmp_path, served):
    control, _ = served(folder=tmp_path / "none")

    async def scenario(agent):
        raise AssertionError

    with pytest.raises(MachineError, match="cannot watch"):
        run(control, scenario)


def test_a_fault_of_ours_is_no_silence(run, tmp_path, served, monkeypatch):
    control, _ = served(folder=tmp_path)
    monkeypatch.setattr(Tree, "start", lambda _: 1 / 0)

    async def scenario(agent):
        raise AssertionError

    with pytest.raises(ZeroDivisionError):
        run(control, scenario)


def test_a_fault_of_ours_later_is_said(tmp_path, served, monkeypatch, caplog):
    control, _ = served(folder=tmp_path)
    monkeypatch.setattr(Tree, "turn", lambda _: 1 / 0)

    async def scenario():
        told = Teller(control, FakeAgent())
        await told.start()
        (tmp_path / "new").touch()
        await asyncio.to_thread(told._thread.join)
        await told.close()

    asyncio.run(scenario())
    assert "are not told any more: division by zero" in caplog.text


def test_a_fault_of_ours_costs_the_events_and_is_told_of(
    run, tmp_path, served, caplog, monkeypatch
):
    control, _ = served(folder=tmp_path)
    failed = asyncio.Event()

    async def fail(agent, target, token, changes):
        failed.set()
        raise KeyError("ours")

    async def scenario(agent):
        (tmp_path / "file").write_text("x")
        async with asyncio.timeout(60):
            await failed.wait()

    monkeypatch.setattr(FakeAgent, "replay", fail)
    run(control, scenario)
    [record] = caplog.records
    assert record.exc_info[0] is KeyError
    assert "not told any more" in record.message
