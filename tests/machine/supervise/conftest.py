"""A control socket, and a machine behind it that acts out a script."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from sampan.machine import VM
from sampan.machine.supervise.method import Methods
from sampan.machine.supervise.screen import Screen
from sampan.machine.supervise.server import Server


class Supervised:
    """A machine with what serves it; all else is the machine's."""

    def __init__(self, vm, screen):
        self.vm = vm
        self.screen = screen
        self.server = Server()
        self.keeper = Keeper(vm)
        Methods(self.server, vm, screen, self.keeper)

    def __getattr__(self, name):
        return getattr(self.vm, name)


class Keeper:
    """Ends a machine at once, as asked."""

    def __init__(self, vm):
        self.vm = vm
        self.asked = []
        self.tasks = set()

    def stop(self, deadline_s):
        self.asked.append(("stop", deadline_s))
        self._do(self.vm.press_power_button())

    def kill(self):
        self.asked.append(("kill",))
        self._do(self.vm.kill())

    def _do(self, work):
        self.tasks.add(asyncio.get_running_loop().create_task(work))


@pytest.fixture
def supervised(scripted, options, runtime_root):
    """Runs a machine with the given steps and its control socket; gives machine and socket."""

    @asynccontextmanager
    async def run(*steps, **fields):
        screens = []
        async with VM.launch(
            scripted(*steps, **fields), options, prepare=lambda c: screens.append(Screen(c))
        ) as vm:
            made = Supervised(vm, screens[0])
            async with made.server.serving(vm.folder.supervisor_socket):
                yield made, vm.folder.supervisor_socket

    return run


@pytest.fixture
def until():
    """Waits until a condition holds, by letting everybody else go on."""

    async def wait(condition):
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110  what is waited for has no event
                await asyncio.sleep(0)

    return wait
