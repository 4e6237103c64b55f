import asyncio
import json
import socket

import pytest

from sampan.machine import qmp
from sampan.machine.control import CommandError, Control
from sampan.machine.error import MachineEndedError, MachineError

GREETING = b'{"QMP": {"version": {"qemu": {"major": 9}}}}\n'


async def connect(notices):
    """A control, and the reader and writer of its peer."""
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    control = Control(notices.append)
    await loop.create_unix_connection(lambda: control, sock=ours)
    reader, writer = await asyncio.open_unix_connection(sock=theirs)
    return control, reader, writer


async def greet(control, reader, writer):
    writer.write(GREETING)
    assert json.loads(await reader.readline())["execute"] == "qmp_capabilities"
    writer.write(b'{"return": {}, "id": 0}\n')
    assert await control.ready() == "9.0.0"


def played(play):
    """Run `play(control, reader, writer, notices)` against a fresh connection."""

    async def run():
        notices: list[qmp.Notice] = []
        control, reader, writer = await connect(notices)
        try:
            await play(control, reader, writer, notices)
        finally:
            control.close()
            writer.close()
            await writer.wait_closed()

    asyncio.run(run())


def test_replies_out_of_order_and_notices():
    async def play(control, reader, writer, notices):
        await greet(control, reader, writer)
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(control.execute("a"), name="a")
            second = tasks.create_task(control.execute("b"), name="b")
            ids = [json.loads(await reader.readline())["id"] for _ in range(2)]
            writer.write(b'{"event": "STOP"}\n{"return": 2, "id": %d}\n' % ids[1])
            writer.write(b'{"return": 1, "id": %d}\n' % ids[0])
        assert (first.result(), second.result()) == (1, 2)
        assert [notice.name for notice in notices] == ["STOP"]

    played(play)


def test_refused_command():
    async def play(control, reader, writer, _notices):
        await greet(control, reader, writer)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(expect_refusal(control), name="command")
            await reader.readline()
            writer.write(b'{"error": {"class": "GenericError", "desc": "not now"}, "id": 1}\n')

    async def expect_refusal(control):
        with pytest.raises(CommandError, match="QEMU refused stop: not now"):
            await control.execute("stop")

    played(play)


def test_peer_that_goes_away_fails_whoever_waits():
    async def play(control, reader, writer, _notices):
        await greet(control, reader, writer)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(expect_end(control), name="command")
            await reader.readline()
            writer.close()

    async def expect_end(control):
        with pytest.raises(MachineEndedError):
            await control.execute("stop")
        with pytest.raises(MachineEndedError, match="cannot cont"):
            await control.execute("cont")

    played(play)


def test_peer_that_goes_away_before_its_greeting():
    async def play(control, _reader, writer, _notices):
        writer.close()
        with pytest.raises(MachineEndedError):
            await control.ready()

    played(play)


def test_peer_that_speaks_something_else():
    async def play(control, _reader, writer, _notices):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n")
        with pytest.raises(MachineError, match="control connection broke"):
            await control.ready()

    played(play)
