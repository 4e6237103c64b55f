"""A client, a relay and an agent: what goes through, and what ends with whom."""

import asyncio
import hashlib
import os
from contextlib import asynccontextmanager
from functools import partial

import pytest

from sampan.machine.agent import Command
from sampan.machine.agent.client import Agent
from sampan.machine.agent.error import AgentError
from sampan.machine.agent.link import Link, Plug
from sampan.machine.agent.relay import Relay


class _Served(asyncio.Protocol):
    """One client's connection to the relay."""

    def __init__(self, link):
        self._link = link

    def connection_made(self, transport):
        self._relay = Relay(self._link, transport.write)

    def data_received(self, data):
        self._relay.received(data)

    def connection_lost(self, exc):
        self._relay.close()


@pytest.fixture
def clients(agent, tmp_path):
    """Makes clients of a relay to the guest's program, for use in an `async with`."""

    @asynccontextmanager
    async def connected(count):
        path = str(tmp_path / "relay")
        async with agent() as direct:
            await direct.ready()
            loop = asyncio.get_running_loop()
            server = await loop.create_unix_server(lambda: _Served(direct.link), path)
            links = []
            for _ in range(count):
                link = Link()
                await loop.create_unix_connection(partial(Plug, link), path)
                links.append(link)
            try:
                yield direct, [Agent(link, patience_s=60) for link in links]
            finally:
                for link in links:
                    link.close()
                server.close()
                await asyncio.sleep(0.01)

    return connected


def run(clients, count, work):
    async def main():
        async with clients(count) as (direct, made):
            return await work(direct, *made)

    return asyncio.run(main())


def test_several_clients_at_once(clients):
    async def work(direct, *made):
        data = os.urandom(700_000)
        results = await asyncio.gather(*(each.exec(["cat"], input=data) for each in made))
        digest = hashlib.sha256(data).digest()
        assert all(hashlib.sha256(result.stdout).digest() == digest for result in results)
        return await direct.exec(["echo", "and me"])

    assert run(clients, 3, work).text == "and me"


def test_terminals_copies_and_statuses(clients, tmp_path):
    (tmp_path / "file").write_text("text")

    async def work(direct, client):
        await client.copy_to(tmp_path / "file", f"{tmp_path}/there")
        await client.copy_from(f"{tmp_path}/there", tmp_path / "back")
        assert client.link.info == direct.link.info
        async with client.start(Command(argv=("sleep", "600"))) as program:
            program.signal(2)
            return await program.wait()

    assert run(clients, 1, work) == 130
    assert (tmp_path / "back").read_text() == "text"


def test_a_client_that_leaves_takes_its_programs_with_it(clients):
    async def work(direct, client):
        async with client.start(Command(argv=("sh", "-c", "echo $$; exec sleep 600"))) as program:
            pid = int((await program.read())[1])
            client.link.close()
            await direct.exec(["sh", "-c", f"while kill -0 {pid} 2>/dev/null; do sleep 0.05; done"])

    run(clients, 1, work)


def test_a_client_that_does_not_read(clients):
    async def work(direct, slow, other):
        async with slow.start(Command(argv=("cat", "/dev/zero"))):
            return await other.exec(["head", "-c", "500000", "/dev/zero"])

    assert len(run(clients, 2, work).stdout) == 500_000


def test_an_agent_that_is_lost(clients, guest):
    async def work(direct, client):
        async with client.start(Command(argv=("cat",))) as program:
            await program.write(b"x")
            await program.read()
            guest.kill()
            guest.start()
            with pytest.raises(AgentError, match="broke off"):
                await program.wait()
        await direct.ready()
        return await client.exec(["echo", "again"])

    assert run(clients, 1, work).text == "again"


def test_no_agent_behind_the_relay(clients, guest):
    async def work(direct, client):
        await client.ready()
        guest.kill()
        direct.resync()
        with pytest.raises(AgentError, match="no agent answers"):
            await client.exec(["true"])

    run(clients, 1, work)
