"""The link with a server in memory: who has which channel, and processes that take over."""

import asyncio
import json
import socket

import pytest

from sampan.base.agent import session, wire
from sampan.base.agent.session import Server
from sampan.machine.agent.error import AgentError, AgentLostError, NoAgentError
from sampan.machine.agent.link import Link, Plug
from sampan.machine.view.event import AgentDown, AgentUp


class Process:
    """The end of a process that runs the machine, with an agent behind it."""

    def __init__(self):
        self.ours, self.theirs = socket.socketpair()
        self.server = Server()
        self.events = []

    async def connect(self, link):
        loop = asyncio.get_running_loop()
        await loop.create_unix_connection(lambda: Plug(link), sock=self.ours)
        self.reader, self.writer = await asyncio.open_unix_connection(sock=self.theirs)
        return self

    async def serve(self, until):
        """Be an agent until there was an event of kind `until`, or one more read."""
        while until not in [event.kind for event in self.events]:
            self.server.received(await self.reader.read(1 << 16))
            for event in self.server.events():
                if event.kind == session.UP:
                    self.server.welcome(b"info")
                self.events.append(event)
            self.say()

    def say(self):
        self.writer.write(self.server.data_to_send())

    def close(self):
        self.writer.close()


class Owner:
    def __init__(self):
        self.events = []
        self.reason = None

    def happened(self, event):
        self.events.append(event)

    def lost(self, why):
        self.reason = why


def run(work):
    async def main():
        link = Link()
        process = await Process().connect(link)
        try:
            return await work(link, process)
        finally:
            link.close()
            process.close()
            await asyncio.sleep(0)

    return asyncio.run(main())


async def _up(link, process):
    await process.serve(session.UP)
    await link.up(60)


async def _until(condition):
    while not condition():  # noqa: ASYNC110  there is no event for what a transport does
        await asyncio.sleep(0.001)


def test_events_go_to_who_has_the_channel():
    async def work(link, process):
        await _up(link, process)
        assert link.info == b"info"
        first, second = Owner(), Owner()
        link.open(b"1", first)
        number = link.open(b"2", second)
        await process.serve(session.OPENED)
        process.server.send(number, 1, b"for the second")
        process.server.answer(number, b"{}")
        process.say()
        await _until(lambda: len(second.events) == 2)
        assert first.events == []
        assert [event.kind for event in second.events] == [session.RECEIVED, session.ANSWERED]

    run(work)


def test_nothing_is_opened_before_somebody_answers():
    async def work(link, process):
        with pytest.raises(NoAgentError):
            link.open(b"", Owner())
        with pytest.raises(NoAgentError, match=r"after 0\.01 s"):
            await link.up(0.01)

    run(work)


def test_what_is_too_much():
    async def work(link, process):
        await _up(link, process)
        with pytest.raises(AgentError, match="too long"):
            link.open(bytes(wire.MAX_PAYLOAD + 1), Owner())
        for _ in range(session.MAX_CHANNELS):
            link.open(b"", Owner())
        with pytest.raises(AgentError, match="too many calls"):
            link.open(b"", Owner())

    run(work)


def test_a_process_that_follows_another():
    """The link goes on with the new one; channels of the old are over, its end is no end."""

    async def work(link, process):
        await _up(link, process)
        owner = Owner()
        link.open(b"", owner)
        successor = await Process().connect(link)
        await _up(link, successor)
        assert owner.reason == "the machine went on in another process"
        process.close()
        await asyncio.sleep(0.01)
        assert link.is_up
        assert not link.is_ended
        successor.close()
        await _until(lambda: link.is_ended)
        assert not link.is_up

    run(work)


def test_a_successor_that_fails():
    async def work(link, process):
        await _up(link, process)
        successor = await Process().connect(link)
        successor.close()
        process.events.clear()
        await _up(link, process)
        assert not link.is_ended

    run(work)


def test_the_end_of_the_machine():
    async def work(link, process):
        await _up(link, process)
        owner = Owner()
        link.open(b"", owner)
        process.close()
        await _until(lambda: link.is_ended)
        assert owner.reason == "the machine has ended"
        with pytest.raises(NoAgentError, match="the machine has ended"):
            await link.up(60)

    run(work)


def test_an_agent_that_closes_the_port():
    async def work(link, process):
        await _up(link, process)
        link.heard(AgentUp())
        assert link.is_up
        link.heard(AgentDown())
        assert not link.is_up
        process.events.clear()
        await _up(link, process)

    run(work)


def test_it_greets_again_while_nobody_answers(monkeypatch):
    monkeypatch.setattr("sampan.machine.agent.link._GREET_AGAIN_S", 0.01)

    async def work(link, process):
        read = b""
        while read.count(wire.MARK) < 3:
            read += await process.reader.read(1 << 16)

    run(work)


def test_a_slow_connection_is_not_overfed():
    """Windows of many channels are more than a socket takes: the rest waits until it does."""

    async def work(link, process):
        await _up(link, process)
        owners = [Owner() for _ in range(20)]
        numbers = [link.open(b"", owner) for owner in owners]
        sent = sum(link.send(number, 0, bytes(session.WINDOW)) for number in numbers)
        assert link.room(numbers[-1]) == 0
        got = 0
        while got < sent:
            process.server.received(await process.reader.read(1 << 16))
            got += sum(
                len(event.data)
                for event in process.server.events()
                if event.kind == session.RECEIVED
            )
        await _until(lambda: session.ROOM in [event.kind for event in owners[0].events])

    run(work)


def test_lost_is_an_error_that_says_why():
    from sampan.machine.agent import link

    assert isinstance(link.lost("x"), AgentLostError)
    assert json.dumps(str(link.lost("x"))) == '"the conversation with the agent broke off: x"'
