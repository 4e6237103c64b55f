"""Processes that take over a machine from one another."""

import asyncio
from pathlib import Path

import pytest

from sampan.machine.console import Console
from sampan.machine.driver import Launch
from sampan.machine.drivers.fake import FakeDriver, FakeMachine, Script
from sampan.machine.error import MachineEndedError
from sampan.machine.forward import Forward
from sampan.machine.model import Accelerator, End, Ending
from sampan.machine.saving.seat import Seat
from sampan.machine.state import Folder
from sampan.machine.testing import spec


async def _machine() -> FakeMachine:
    launch = Launch(
        accel=Accelerator.TCG, folder=Folder(Path("/none")), console=Console(), deadline_s=1
    )
    return await FakeDriver(Script()).start(spec(), launch)


def test_it_passes_everything_on():
    async def scenario():
        first = await _machine()
        seat = Seat(first)
        heard = []
        seat.listen(lambda notice: heard.append(notice.name))
        await seat.run()
        await seat.pause()
        assert heard == ["RESUME", "STOP"]
        assert seat.argv == first.argv
        assert seat.pid == first.pid
        assert await seat.forwards(()) == ()
        published = await seat.expose(Forward.parse("0:80"))
        assert list(first.published) == [published]
        await seat.unexpose(published)
        assert list(first.published) == []
        await seat.execute("query-status")
        assert first.commands == [("query-status", {})]
        seat.panicked("why")
        assert (await seat.wait()).ending is Ending.PANICKED

    asyncio.run(scenario())


def test_the_power_button():
    async def scenario():
        seat = Seat(await _machine())
        await seat.power_button()
        assert (await seat.wait()).ending is Ending.POWERED_OFF

    asyncio.run(scenario())


def test_one_takes_over_from_another():
    async def scenario():
        first, second = await _machine(), await _machine()
        seat = Seat(first)
        heard = []
        seat.listen(lambda notice: heard.append(notice.name))
        waiting = asyncio.get_running_loop().create_task(seat.wait())
        async with seat.changing():
            await first.kill()
            await asyncio.sleep(0)
            await seat.take(second)
        await second.run()
        assert heard == ["RESUME"]
        assert not waiting.done()
        second._finish(End(ending=Ending.POWERED_OFF))
        assert (await waiting).ending is Ending.POWERED_OFF

    asyncio.run(scenario())


def test_a_change_that_fails_leaves_the_end_there_was():
    async def scenario():
        first = await _machine()
        seat = Seat(first)
        waiting = asyncio.get_running_loop().create_task(seat.wait())

        async def fail():
            async with seat.changing():
                await first.kill()
                raise KeyError("fault")

        with pytest.raises(KeyError, match="fault"):
            await fail()
        assert (await waiting).ending is Ending.FORCED

    asyncio.run(scenario())


def test_nobody_takes_over_a_machine_that_was_ended():
    async def scenario():
        first, second = await _machine(), await _machine()
        seat = Seat(first)

        async def change():
            async with seat.changing():
                await first.kill()
                ending = asyncio.get_running_loop().create_task(seat.kill())
                await asyncio.sleep(0)
                with pytest.raises(MachineEndedError):
                    await seat.take(second)
            return await ending

        assert (await change()).ending is Ending.FORCED
        assert (await second.wait()).ending is Ending.FORCED
        assert seat.is_ended
        with pytest.raises(MachineEndedError):
            async with seat.changing():
                pytest.fail("it changes")

    asyncio.run(scenario())


def test_changes_exclude_one_another():
    async def scenario():
        seat = Seat(await _machine())
        async with seat.changing():
            with pytest.raises(MachineEndedError, match="another state"):
                async with seat.changing():
                    pytest.fail("it changes")
        await seat.kill()

    asyncio.run(scenario())


def test_an_end_can_have_a_name_of_its_own():
    async def scenario():
        seat = Seat(await _machine())
        return await seat.kill(End(ending=Ending.SUSPENDED))

    assert asyncio.run(scenario()).ending is Ending.SUSPENDED
