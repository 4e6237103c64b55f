"""Most of it is tested with the server, in test_server.py, test_method.py and test_screen.py."""

import asyncio

import pytest

from sampan.machine.supervise import protocol
from sampan.machine.supervise.client import AsyncClient


def test_an_upgrade_that_is_refused_closes_the_connection(supervised, until):
    async def main():
        async with supervised("hang") as (vm, path):
            with pytest.raises(protocol.UnknownMethodError):
                await AsyncClient(path).upgrade("dance", protocol.Fault("", ""))
            await until(lambda: not vm.server._connections)

    asyncio.run(main())


def test_a_machine_that_closes(runtime_root):
    async def main():
        path = runtime_root / "s"
        async with await asyncio.start_unix_server(lambda _, writer: writer.close(), path):
            with pytest.raises(protocol.NotAnsweringError, match="closed the connection"):
                await AsyncClient(path).info()

    asyncio.run(main())
