import asyncio
import os

import pytest

from sampan.machine import Ending
from sampan.machine.error import MachineError
from sampan.machine.supervise.client import AsyncClient
from sampan.machine.view.event import Ended, StateChanged


def run(supervised, steps, work):
    async def main():
        async with supervised(*steps) as (vm, path):
            async with asyncio.timeout(20):
                return await work(AsyncClient(path), vm)

    return asyncio.run(main())


def test_what_runs(supervised):
    async def work(client, vm):
        info = await client.info()
        assert (info.name, info.pid, info.accel, info.state) == ("sampan", vm.pid, "tcg", "running")
        assert info.supervisor_pid == os.getpid()
        assert {"stop", "console"} <= set(info.methods)

    run(supervised, ("hang",), work)


def test_stop(supervised):
    async def work(client, vm):
        assert (await client.stop(deadline_s=3)).ending is Ending.POWERED_OFF
        assert vm.keeper.asked == [("stop", 3)]

    run(supervised, ("button", "poweroff"), work)


def test_kill(supervised):
    async def work(client, vm):
        assert (await client.kill()).ending is Ending.FORCED
        assert vm.keeper.asked == [("kill",)]

    run(supervised, ("hang",), work)


def test_the_power_button_alone(supervised):
    async def work(client, vm):
        await client.press_power_button()
        assert (await vm.wait()).ending is Ending.POWERED_OFF

    run(supervised, ("button", "poweroff"), work)


def test_pause_and_events(supervised):
    async def work(client, vm):
        await client.pause()
        assert (await client.info()).state == "paused"
        await client.resume()
        states = [
            each.new async for each in client.events() if isinstance(each, StateChanged)
        ]  # fmt: skip
        assert states == ["running", "paused", "running"]
        later = [
            each.new async for each in client.events(after=2) if isinstance(each, StateChanged)
        ]
        assert later == ["running"]
        vm.keeper.kill()
        followed = [each async for each in client.events(follow=True)]
        assert isinstance(followed[-1], Ended)
        assert [each.seq for each in followed] == list(range(1, len(followed) + 1))

    run(supervised, ("hang",), work)


def test_commands_of_the_hypervisor(supervised):
    async def work(client, vm):
        assert await client.execute("query-status", {"a": 1}) == {}
        with pytest.raises(MachineError, match="no such command"):
            await client.execute("no-such-command")

    run(supervised, ("hang",), work)


def test_counters(supervised):
    async def work(client, vm):
        counted = await client.metrics()
        assert (counted.machine, counted.cpus) == ("sampan", 1)
        assert counted.rss_bytes > 0

    run(supervised, ("hang",), work)
