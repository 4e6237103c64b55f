import asyncio
import os
import threading

from sampan.base import proc
from sampan.machine.drivers import ending

MANY = 3 * min(32, (os.cpu_count() or 1) + 4)  # more than asyncio's own threads


def test_the_status_of_a_process():
    async def main(script):
        return await ending.status_of(proc.start(["sh", "-c", script]), "wait")

    assert asyncio.run(main("exit 3")) == 3
    assert asyncio.run(main("kill -9 $$")) == -9


def test_many_that_go_on_leave_the_threads_of_the_loop_alone():
    async def main():
        processes = [proc.start(["sleep", "1000"]) for _ in range(MANY)]
        ends = [ending.status_of(each, "wait for many") for each in processes]
        try:
            name = await asyncio.to_thread(lambda: threading.current_thread().name)
        finally:
            for each in processes:
                each.kill()
        return name, await asyncio.gather(*ends)

    name, statuses = asyncio.run(main())
    assert not name.startswith("wait")
    assert statuses == [-9] * MANY
