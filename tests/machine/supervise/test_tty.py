import asyncio
import fcntl
import os
import termios
import threading
from contextlib import suppress

import pytest

from sampan.machine.console import Console
from sampan.machine.supervise import tty
from sampan.machine.supervise.screen import Screen
from sampan.machine.supervise.tty import Tty


@pytest.fixture
def opened(monkeypatch):
    """Opens a terminal as `screen` does; gives a function that gives all it has shown."""
    monkeypatch.setattr(tty, "LOOK_S", 0.001)

    def open_(path):
        descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        seen = bytearray()

        def read():
            with suppress(BlockingIOError):
                seen.extend(os.read(descriptor, 100))
            return bytes(seen)

        return descriptor, read

    return open_


def test_looking_and_typing(supervised, opened, until):
    async def main():
        async with supervised("say login:", "await root\r", "say welcome", "hang") as (vm, _):
            shown = Tty(vm.console, vm.screen)
            await vm.console.expect("login:", timeout_s=60)
            descriptor, read = opened(shown.path)
            await until(lambda: read() == b"login:\r\n")
            os.write(descriptor, b"root\r")
            await until(lambda: read() == b"login:\r\nwelcome\r\n")
            os.close(descriptor)
            await until(lambda: not shown._is_open)
            again, read = opened(shown.path)
            await until(lambda: read() == b"login:\r\nwelcome\r\n")
            os.close(again)
            shown.close()

    asyncio.run(main())


def test_one_who_types_faster_than_is_read(until):
    """Whoever opens it is in the middle of writing when it is made ready for him."""

    async def main():
        console = Console()
        shown = Tty(console, Screen(console))
        descriptor = os.open(shown.path, os.O_RDWR | os.O_NOCTTY)
        typing = threading.Thread(target=os.write, args=(descriptor, bytes(1 << 20)))
        typing.start()
        await until(lambda: fcntl.ioctl(shown._ours, termios.FIONREAD, bytes(4)) != bytes(4))
        console.data_received(b"login:")
        await until(lambda: not typing.is_alive())
        assert os.read(descriptor, 100) == b"login:"
        os.close(descriptor)
        shown.close()

    asyncio.run(main())


def test_what_nobody_looks_at_costs_nothing(supervised):
    async def main():
        async with supervised("say " + "x" * 9000, "poweroff") as (vm, _):
            shown = Tty(vm.console, vm.screen)
            await vm.wait()
            shown.close()
            vm.screen._said(b"more")

    asyncio.run(main())
