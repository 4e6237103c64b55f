"""The agent by way of a machine's control socket."""

import asyncio

import pytest

from sampan.machine.agent import served
from sampan.machine.error import MachineError
from sampan.machine.supervise.protocol import NotAnsweringError, UnknownMethodError
from sampan.machine.supervise.server import Server


def test_another_process_reaches_it(agent, tmp_path):
    async def main():
        server = Server()
        async with agent() as direct:
            served.offer(server, direct)
            async with server.serving(tmp_path / "control"):
                async with served.reach(tmp_path / "control") as reached:
                    return await reached.exec(["echo", "there"])

    assert asyncio.run(main()).text == "there"


def test_an_agent_that_does_not_answer(agent, tmp_path):
    async def main():
        server = Server()
        async with agent(started=False) as direct:
            served.offer(server, direct)
            async with server.serving(tmp_path / "control"):
                with pytest.raises(MachineError, match=r"no agent answers .* after 0\.05 s"):
                    async with served.reach(tmp_path / "control", deadline_s=0.05):
                        raise AssertionError("nobody was there")

    asyncio.run(main())


def test_a_machine_without_a_channel(tmp_path):
    async def main():
        async with Server().serving(tmp_path / "control"):
            async with served.reach(tmp_path / "control"):
                raise AssertionError("nobody was there")

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(main())
    assert caught.group_contains(UnknownMethodError)


def test_nobody_at_the_socket(tmp_path):
    async def main():
        async with served.reach(tmp_path / "none"):
            raise AssertionError("nobody was there")

    with pytest.raises(NotAnsweringError):
        asyncio.run(main())
