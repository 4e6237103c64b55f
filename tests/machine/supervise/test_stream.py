import asyncio
from typing import Any

import pytest

from sampan.machine.supervise.stream import Stream


class Transport:
    def __init__(self):
        self.done = []

    def __getattr__(self, name):
        return lambda *args: self.done.append((name, *args))


def test_reading_and_its_back_pressure():
    async def main():
        transport: Any = Transport()
        stream = Stream(transport)
        stream.feed(b"x" * (300 << 10))
        assert ("pause_reading",) in transport.done
        assert len(await stream.read()) == 300 << 10
        assert ("resume_reading",) in transport.done
        stream.feed_eof()
        assert await stream.read() == b""
        assert await stream.read() == b""

    asyncio.run(main())


def test_writing_waits_for_the_peer_and_notices_its_end():
    async def main():
        transport: Any = Transport()
        stream = Stream(transport)
        stream.pause_writing()
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(stream.drain())
            await asyncio.sleep(0)
            assert not waiting.done()
            stream.resume_writing()
        stream.lost()
        stream.write(b"x")
        assert ("write", b"x") not in transport.done
        with pytest.raises(ConnectionError):
            await stream.drain()
        assert await stream.read() == b""

    asyncio.run(main())
