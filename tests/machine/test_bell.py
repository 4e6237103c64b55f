import asyncio

import pytest

from sampan.machine.bell import Bell


def test_all_who_wait_are_woken_and_those_who_come_later_are_not():
    async def body():
        bell = Bell()
        bell.ring()
        waiting = [asyncio.create_task(bell.wait()) for _ in range(3)]
        await asyncio.sleep(0)
        bell.ring()
        bell.ring()
        await asyncio.gather(*waiting)
        later = asyncio.create_task(bell.wait())
        await asyncio.sleep(0)
        assert not later.done()
        bell.ring()
        await later

    asyncio.run(body())


def test_who_gives_up_is_forgotten_and_disturbs_nobody():
    async def body():
        bell = Bell()
        leaving, staying = (asyncio.create_task(bell.wait()) for _ in range(2))
        await asyncio.sleep(0)
        leaving.cancel()
        bell.ring()
        await staying
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert bell._waiting == set()

    asyncio.run(body())
