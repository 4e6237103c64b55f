"""What a machine's life leaves in the process that had it: nothing, without a garbage collector."""

import asyncio
import gc
import threading
from contextlib import suppress
from pathlib import Path

from sampan.machine import VM
from sampan.machine.device import Vsock
from sampan.machine.error import MachineError


def counted(threads):
    """Descriptors, threads and tasks; threads that are not `threads` may have to end yet.

    Those that the event loop keeps for what blocks end with it, and are as many as it found busy.
    """
    for thread in set(threading.enumerate()) - threads:
        if not thread.name.startswith("asyncio_"):
            thread.join(60)
    left = [each for each in threading.enumerate() if not each.name.startswith("asyncio_")]
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    return descriptors, len(left), len(asyncio.all_tasks())


def test_nothing_is_left(scripted, options):
    threads = set(threading.enumerate())

    async def live(*steps, end):
        spec = scripted(*steps, agent=True, vsock=Vsock())
        with suppress(MachineError):
            async with VM.launch(spec, options) as vm:
                await end(vm)

    async def lives():
        await live("say hello", "poweroff", end=lambda vm: vm.wait())
        await live("button", "poweroff", end=lambda vm: vm.power_off())
        await live("hang", end=lambda vm: vm.kill())
        await live("hang", end=lambda vm: asyncio.sleep(0))  # it ends with its block
        await live("silent", end=lambda vm: vm.wait())  # it does not even start

    async def main():
        await lives()  # what is made once stays
        before = counted(threads)
        gc.disable()
        try:
            await lives()
            return before, counted(threads)
        finally:
            gc.enable()

    before, after = asyncio.run(main())
    assert after == before
