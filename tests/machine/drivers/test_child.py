import asyncio
import os
import signal
from contextlib import AsyncExitStack
from typing import ClassVar

import pytest

from sampan.errors import ToolMissingError, UnsupportedError
from sampan.machine import End, Ending, qmp, state
from sampan.machine.console import Console
from sampan.machine.driver import Launch
from sampan.machine.drivers.child import Child
from sampan.machine.error import MachineEndedError
from sampan.machine.forward import Forward
from sampan.machine.model import Accelerator


class Shell(Child):
    """A hypervisor that is a shell script; status 2 means that its guest reboots."""

    program = "shell"
    rebooted: ClassVar[int | None] = 2


def run(root, script, use, *, reboots=True):
    async def main():
        with state.machine_folder(root) as folder:
            console = Console()
            launch = Launch(accel=Accelerator.HVF, folder=folder, console=console, deadline_s=5)
            child = Shell(("sh", "-c", script), launch, reboots=reboots)
            try:
                await child.run()
                return await asyncio.wait_for(use(child, console), 60)
            finally:
                await child.kill()

    return asyncio.run(main())


def wait(root, script, **options):
    return run(root, script, lambda child, _: child.wait(), **options)


def test_its_terminal_is_the_console(runtime_root):
    async def use(child, console):
        await console.expect("who?", timeout_s=60)
        console.send("me\n")
        await console.expect("hello me", timeout_s=60)
        return await child.wait(), child.terminal

    end, terminal = run(runtime_root, "tty; echo 'who?'; read name; echo hello $name", use)
    assert end == End(ending=Ending.POWERED_OFF)
    assert terminal.startswith("/dev/")


@pytest.mark.parametrize(
    ("script", "end"),
    [
        ("exit 0", End(ending=Ending.POWERED_OFF)),
        ("exit 3", End(ending=Ending.DIED, detail="shell ended with status 3")),
        ("echo no >&2; exit 1", End(ending=Ending.DIED, detail="shell ended with status 1: no")),
        ("kill -9 $$", End(ending=Ending.DIED, detail="shell was killed by SIGKILL")),
    ],
)
def test_ways_to_end(runtime_root, script, end):
    assert wait(runtime_root, script) == end


def test_it_is_started_again_when_the_guest_reboots(runtime_root, tmp_path):
    mark = tmp_path / "mark"
    script = f"echo boot; [ -e {mark} ] && exit 0; touch {mark}; exit 2"
    heard: list[qmp.Notice] = []

    async def use(child, console):
        child.listen(heard.append)
        first = child.pid
        end = await child.wait()
        return end.ending, str(console.transcript), child.pid != first

    assert run(runtime_root, script, use) == (Ending.POWERED_OFF, "boot\nboot\n", True)
    assert [notice.name for notice in heard] == ["RESET"]


def test_a_reboot_may_be_the_end(runtime_root):
    assert wait(runtime_root, "exit 2", reboots=False).ending is Ending.REBOOTED


def test_a_reboot_after_a_panic_is_the_end(runtime_root):
    async def use(child, console):
        child.listen(lambda notice: child.panicked("no init"))
        console.send("\n")
        return await child.wait()

    end = run(runtime_root, "read x; exit 2", use)
    assert end == End(ending=Ending.PANICKED, detail="no init")


def test_a_reboot_that_fails_is_explained(runtime_root, tmp_path, monkeypatch):
    async def use(child, console):
        child.argv = ("no-such-program",)
        console.send("\n")
        return await child.wait()

    assert run(runtime_root, "read x; exit 2", use).ending is Ending.REBOOTED


def test_force(runtime_root):
    async def use(child, console):
        end = await child.kill()
        child.signal(signal.SIGKILL)  # there is nobody left
        with pytest.raises(MachineEndedError, match="cannot dance"):
            child.check_alive("dance")
        return end

    assert run(runtime_root, "read x", use).ending is Ending.FORCED


def test_what_is_not_there(runtime_root):
    async def use(child, console):
        child.check_alive("ask")
        with pytest.raises(UnsupportedError, match="speak QMP"):
            await child.execute("query-status")
        assert await child.forwards(()) == ()
        for change in (child.expose, child.unexpose):
            with pytest.raises(UnsupportedError, match="its own network has none"):
                await change(Forward.parse("8080:80"))
        return str(child.not_started("why")), child.not_started("why").hint

    said, hint = run(runtime_root, "read x", use)
    assert said == "shell did not start: why"
    assert hint == "it was started as: sh -c 'read x'"


def test_many_at_once(runtime_root):
    """They all go on, and none keeps the loop's threads from whoever needs one."""
    count = 3 * min(32, (os.cpu_count() or 1) + 4)

    async def main():
        async with AsyncExitStack() as stack:
            children = []
            for _ in range(count):
                folder = stack.enter_context(state.machine_folder(runtime_root))
                launch = Launch(
                    accel=Accelerator.HVF, folder=folder, console=Console(), deadline_s=5
                )
                children.append(Shell(("sh", "-c", "read x"), launch, reboots=True))
                stack.push_async_callback(children[-1].kill)
            await asyncio.to_thread(lambda: None)
            return [(await each.kill()).ending for each in children]

    assert asyncio.run(main()) == [Ending.FORCED] * count


def test_a_program_that_is_missing(runtime_root, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda *_args, **_options: None)
    with pytest.raises(ToolMissingError):
        wait(runtime_root, "true")
