"""A call with a link that only takes notes."""

import asyncio

import pytest

from sampan.base.agent import session
from sampan.base.agent.session import Event
from sampan.machine.agent.channel import Channel
from sampan.machine.agent.error import AgentError, AgentLostError


class Link:
    def __init__(self):
        self.said = []
        self.space = 1 << 20

    def open(self, body, owner):
        self.said.append(("open", body))
        return 5

    def room(self, channel):
        return self.space

    def send(self, channel, stream, data):
        size = min(self.space, len(data))
        self.space -= size
        self.said.append(("send", data[:size]))
        return size

    def __getattr__(self, name):
        return lambda *arguments: self.said.append((name, *arguments))


@pytest.fixture
def link():
    return Link()


def run(link, work, *events):
    async def main():
        with Channel(link, "method", {"a": 1}) as channel:
            for event in events:
                channel.happened(event)
            return await work(channel)

    return asyncio.run(main())


def received(data, stream=1):
    return Event(session.RECEIVED, 5, stream, data)


def answered(data):
    return Event(session.ANSWERED, 5, data=data)


def test_what_is_asked(link):
    async def work(channel):
        channel.note(rows=3)
        channel.end()

    run(link, work)
    assert link.said == [
        ("open", b'{"method":"method","params":{"a":1}}'),
        ("note", 5, b'{"rows":3}'),
        ("end", 5, 0),
        ("reset", 5),
    ]


def test_what_is_read_makes_room(link):
    async def work(channel):
        return [await channel.read(), await channel.read(), await channel.read()]

    read = run(link, work, received(b"one"), received(b"two", 2), answered(b'{"result":{}}'))
    assert read == [(1, b"one"), (2, b"two"), None]
    assert ("consumed", 5, 3) in link.said


def test_writing_waits_for_room(link):
    link.space = 3

    async def work(channel):
        writing = asyncio.gather(channel.write(b"12345"))
        await asyncio.sleep(0)
        link.space = 10
        channel.happened(Event(session.ROOM, 5))
        return (await writing)[0]

    assert run(link, work) is True
    assert [said[1] for said in link.said if said[0] == "send"] == [b"123", b"45"]


def test_writing_to_who_has_answered(link):
    assert run(link, lambda channel: channel.write(b"x"), answered(b"{}")) is False


def test_answers(link):
    assert run(link, Channel.answer, received(b"x"), answered(b'{"result":{"code":3}}')) == {
        "code": 3
    }


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (answered(b'{"error":"no"}'), "the agent refused: no"),
        (answered(b"{}"), "refused: without a reason"),
        (answered(b"x"), "makes no sense"),
        (answered(b'{"result":5}'), "makes no sense"),
        (answered(b"[" * 5000), "makes no sense"),
        (Event(session.RESET, 5), "too much to do"),
    ],
)
def test_answers_that_are_none(link, event, why):
    with pytest.raises(AgentError, match=why):
        run(link, Channel.answer, event)


def test_a_conversation_that_breaks_off(link):
    async def work(channel):
        channel.lost("it was restored")
        assert channel.is_over
        return await channel.read()

    with pytest.raises(AgentLostError, match="it was restored"):
        run(link, work)


def test_what_cannot_be_said(link):
    with pytest.raises(AgentError, match="is not UTF-8"):
        Channel(link, "exec", {"argv": ["\udcff"]})
