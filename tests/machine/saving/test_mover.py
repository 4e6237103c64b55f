"""Machines that are moved: acted out, and with a real QEMU and a kernel of a few instructions."""

import asyncio
import os
import socket
from contextlib import ExitStack
from dataclasses import replace as replace_options
from typing import ClassVar

import pytest
from msgspec.structs import replace

from sampan import machine
from sampan.base import proc
from sampan.errors import UnsupportedError
from sampan.machine import Accelerator, Disk, Ending, Forward, LaunchOptions, MachineSpec, Vsock
from sampan.machine.drivers import qemu_state
from sampan.machine.drivers.fake import Await, FakeDriver, FakeMachine, Say, Script
from sampan.machine.error import MachineEndedError, MachineError
from sampan.machine.model import Network
from sampan.machine.port import PortError
from sampan.machine.saving import suspension
from sampan.machine.saving.suspension import SuspensionError
from sampan.machine.testing import spec
from sampan.machine.view.event import Moved, PortUnexposed, Restored, Saved, State, StateChanged

needs_qemu = pytest.mark.skipif(not proc.has_tool("qemu-system-x86_64"), reason="needs QEMU")
real = [pytest.mark.guest, needs_qemu]
STEPS = (Say("ready"), Await("a"), Say("got a"), Await("b"), Say("got b"))


@pytest.fixture
def faked(runtime_root):
    driver = FakeDriver(Script(steps=STEPS))
    return LaunchOptions(driver=driver, runtime_root=runtime_root)


def test_suspend_and_resume(faked, tmp_path):
    with machine.launch(spec(), faked) as vm:
        vm.console.expect("ready", timeout_s=60)
        vm.console.send("a")
        vm.console.expect("got a", timeout_s=60)
        saved = vm.suspend(tmp_path / "s")
        assert vm.wait(timeout_s=60).ending is Ending.SUSPENDED
    assert saved.driver == "fake"
    with machine.resume(tmp_path / "s", faked) as vm:
        vm.console.send("b")
        vm.console.expect("got b", timeout_s=60)
        assert "ready" not in vm.console.transcript


def test_restore_in_place(faked, tmp_path):
    with machine.launch(spec(), faked) as vm:
        vm.console.expect("ready", timeout_s=60)
        vm.snapshot(tmp_path / "s")
        for _ in range(3):
            vm.console.send("a")
            vm.console.expect("got a", timeout_s=60)
            vm.restore(tmp_path / "s")
        assert vm.state is State.RUNNING
        assert vm.kill().ending is Ending.FORCED
        told = [type(each) for each in vm.events() if isinstance(each, Saved | Restored)]
        assert told == [Saved, Restored, Restored, Restored]


def test_a_paused_machine_stays_paused_when_saved(faked, tmp_path):
    with machine.launch(spec(), faked) as vm:
        vm.pause()
        vm.snapshot(tmp_path / "s")
        states = [vm.state]
        vm.restore(tmp_path / "s")
        assert [*states, vm.state] == [State.PAUSED, State.RUNNING]


def test_a_paused_machine_runs_until_its_vsock_is_unplugged(faked, tmp_path):
    with machine.launch(spec(vsock=Vsock()), faked) as vm:
        vm.pause()
        vm.snapshot(tmp_path / "s")
        assert vm.state is State.PAUSED
        vm.kill()
        states = [each.new for each in vm.events() if isinstance(each, StateChanged)]
        assert states[:4] == [State.RUNNING, State.PAUSED, State.RUNNING, State.PAUSED]


def test_one_thing_at_a_time(faked, tmp_path):
    """A machine that goes on while it is saved would write to a disk that is being copied."""

    async def scenario():
        async with machine.VM.launch(spec(), faked) as vm:
            saving = [asyncio.create_task(vm.snapshot(tmp_path / name)) for name in "abc"]
            await asyncio.sleep(0)
            await asyncio.gather(*saving, vm.resume(), vm.pause())
            return vm.state, [type(each) for each in vm.journal.after(0) if isinstance(each, Saved)]

    assert asyncio.run(scenario()) == (State.PAUSED, [Saved] * 3)


def test_who_waited_finds_it_ended(faked, tmp_path):
    async def scenario():
        async with machine.VM.launch(spec(), faked) as vm:
            ending = asyncio.create_task(vm.suspend(tmp_path / "s"))
            await asyncio.sleep(0)
            with pytest.raises(MachineEndedError):
                await vm.resume()
            await ending

    asyncio.run(scenario())


def test_a_folder_that_cannot_be_written_leaves_it_running(faked, tmp_path):
    (tmp_path / "file").write_text("")
    with machine.launch(spec(), faked) as vm:
        with pytest.raises(SuspensionError):
            vm.suspend(tmp_path / "file")
        assert vm.state is State.RUNNING


def test_the_snapshot_of_another_machine(faked, tmp_path):
    with machine.launch(spec(name="one"), faked) as vm:
        vm.snapshot(tmp_path / "s")
    with machine.launch(spec(name="two"), faked) as vm:
        with pytest.raises(SuspensionError, match=r"another machine \(one\)"):
            vm.restore(tmp_path / "s")
        assert vm.state is State.RUNNING


def test_a_link_that_cannot_be_opened_again(runtime_root, tmp_path):
    options = LaunchOptions(driver=FakeDriver(), runtime_root=runtime_root, link_fd=0)
    with (
        machine.launch(spec(network=Network.STREAM), options) as vm,
        pytest.raises(UnsupportedError, match="cannot be opened again"),
    ):
        vm.restore(tmp_path)
    with (
        machine.launch(spec(network=Network.STREAM), options) as vm,
        pytest.raises(UnsupportedError, match="cannot be opened again"),
    ):
        vm.relocate()


class Noting(FakeDriver):
    """Takes note of the links that its machines are started with."""

    links: ClassVar[list[int]] = []

    async def start(self, spec, launch):
        self.links.append(os.fstat(launch.link_fd).st_ino)
        return await super().start(spec, launch)


def test_a_link_that_is_opened_again(runtime_root, tmp_path):
    with ExitStack() as stack:
        ends = []

        def relink():
            ours, theirs = socket.socketpair()
            ends.append(stack.enter_context(ours))
            return theirs

        with relink() as first:
            options = LaunchOptions(
                driver=Noting(), runtime_root=runtime_root, link_fd=first.fileno(), relink=relink
            )
            vm = stack.enter_context(machine.launch(spec(network=Network.STREAM), options))
        vm.snapshot(tmp_path)
        vm.restore(tmp_path)
        assert len(set(Noting.links)) == 2
        assert [each.recv(1) for each in ends] == [b"", b""]  # no copy of a link is kept here


def test_a_hook_for_those_who_set_clocks(faked, tmp_path):
    async def scenario():
        called = []
        async with machine.VM.launch(spec(), faked) as vm:
            vm._mover.on_return = lambda: called.append(vm.state)
            await vm.snapshot(tmp_path / "s")
            assert called == []
            await vm.restore(tmp_path / "s")
        return called

    assert asyncio.run(scenario()) == [State.RUNNING]


@pytest.fixture
def sent(monkeypatch):
    """Moving a machine's state from one process to another does nothing."""

    async def send(source, target, path):
        await source.pause()

    monkeypatch.setattr(qemu_state, "send", send)


def test_who_gives_up_when_it_has_moved_leaves_it_where_it_is(faked, sent, monkeypatch):
    async def scenario():
        running = asyncio.Event()

        async def run(process):
            running.set()
            await asyncio.Event().wait()

        async with machine.VM.launch(spec(), faked) as vm:
            monkeypatch.setattr(FakeMachine, "run", run)
            moving = asyncio.create_task(vm.relocate())
            await running.wait()
            moving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await moving
            first, second = faked.driver.machines
            assert vm._mover.seat.occupant is second
            assert (await first.wait()).ending is Ending.FORCED
            assert (await vm.kill()).ending is Ending.FORCED
            assert (await second.wait()).ending is Ending.FORCED

    asyncio.run(scenario())


def test_a_port_that_is_taken_while_it_moves_is_told_of(faked, sent, monkeypatch, caplog):
    async def expose(process, forward):
        if forward == taken:
            raise PortError("somebody has it")
        return forward

    published = (Forward.parse("0:80"), Forward.parse("0:81"))
    with machine.launch(spec(publish=published), faked) as vm:
        taken, other = vm.forwards
        monkeypatch.setattr(FakeMachine, "expose", expose)
        vm.relocate()
        assert vm.forwards == (other,)
        vm.kill()
        [told] = [each for each in vm.events() if isinstance(each, PortUnexposed)]
    assert told.forward == taken
    assert caplog.messages == [f"port {taken} leads nowhere any more: somebody has it"]


def test_ports_that_came_while_it_ran_stay_when_it_moves(faked, sent, tmp_path):
    with machine.launch(spec(publish=(Forward.parse("0:80"),)), faked) as vm:
        [first] = vm.forwards
        added = vm.expose(Forward.parse("0:81"))
        vm.relocate()
        assert list(vm.forwards) == list(faked.driver.machines[-1].published) == [first, added]
        vm.unexpose(first)
        vm.snapshot(tmp_path / "s")
        vm.restore(tmp_path / "s")
        assert list(vm.forwards) == list(faked.driver.machines[-1].published) == [added]
    saved = suspension.read(tmp_path / "s")
    assert saved.forwards == saved.spec.publish == (added,)


def test_a_machine_that_publishes_nothing_any_more(faked, tmp_path):
    with machine.launch(spec(publish=(Forward.parse("0:80"),)), faked) as vm:
        vm.unexpose(vm.forwards[0])
        vm.suspend(tmp_path / "s")
    with machine.resume(tmp_path / "s", faked) as vm:
        assert vm.forwards == faked.driver.machines[-1].published == ()


def test_ports_wait_until_it_has_moved(faked, monkeypatch):
    """One that was added to a process that is being left would be lost."""

    async def scenario():
        moving, go_on = asyncio.Event(), asyncio.Event()

        async def send(source, target, path):
            moving.set()
            await go_on.wait()

        monkeypatch.setattr(qemu_state, "send", send)
        async with machine.VM.launch(spec(), faked) as vm:
            relocating = asyncio.create_task(vm.relocate())
            await moving.wait()
            exposing = asyncio.create_task(vm.expose(Forward.parse("0:80")))
            await asyncio.sleep(0)
            go_on.set()
            await asyncio.gather(relocating, exposing)
            return vm.forwards, [each.published for each in faked.driver.machines]

    forwards, published = asyncio.run(scenario())
    assert len(forwards) == 1
    assert published == [(), forwards]


@pytest.fixture
def counting(counting_kernel):
    return MachineSpec(kernel=counting_kernel, mem_mib=32, accel=Accelerator.TCG)


def _type(vm, character, count):
    """Type a character, which the kernel counts."""
    vm.console.send(character)
    vm.console.expect(f"{character}{count}\n", timeout_s=60)


def _ends(link):
    """Whether nobody has the other end of a link; what came by it is dropped."""
    link.setblocking(False)
    try:
        while link.recv(4096):
            pass
    except BlockingIOError:
        return False
    return True


class TestQemu:
    pytestmark = real

    def test_suspend_and_resume(self, counting, options, tmp_path):
        published = replace(counting, publish=(Forward.parse("0:80"),))
        with machine.launch(published, options) as vm:
            _type(vm, "a", 1)
            before = vm.forwards
            vm.suspend(tmp_path / "s")
        with machine.resume(tmp_path / "s", options) as vm:
            assert vm.forwards == before
            _type(vm, "b", 2)

    def test_restore_and_relocate(self, counting, options, tmp_path):
        disk = tmp_path / "disk.img"
        disk.write_bytes(b"before".ljust(1 << 20, b"\0"))
        with_disk = replace(counting, disks=(Disk(path=disk),), publish=(Forward.parse("0:80"),))
        with machine.launch(with_disk, options) as vm:
            _type(vm, "a", 1)
            vm.snapshot(tmp_path / "s")
            _type(vm, "b", 2)
            disk.write_bytes(b"after!".ljust(1 << 20, b"\0"))
            before = vm.pid
            added = vm.expose(Forward.parse("0:81"))
            vm.restore(tmp_path / "s")
            assert vm.pid != before
            assert disk.read_bytes().startswith(b"before")
            _type(vm, "c", 2)
            before = vm.pid
            assert vm.relocate() < 30
            assert vm.pid != before
            after = vm.pid
            _type(vm, "d", 3)
            for each in (*vm.forwards, added):
                socket.create_connection(("127.0.0.1", each.host_port), timeout=60).close()
            vm.snapshot(tmp_path / "t")
            assert vm.kill().ending is Ending.FORCED
            assert [each.pid for each in vm.events() if isinstance(each, Moved)] == [after]
        with machine.resume(tmp_path / "t", options) as vm:
            _type(vm, "e", 4)

    def test_on_a_stream(self, counting, options, tmp_path):
        with ExitStack() as stack:
            ends = []

            def relink():
                ours, theirs = socket.socketpair()
                ends.append(stack.enter_context(ours))
                return theirs

            with relink() as first:
                linked = replace_options(options, link_fd=first.fileno(), relink=relink)
                on_stream = replace(counting, network=Network.STREAM)
                vm = stack.enter_context(machine.launch(on_stream, linked))
            _type(vm, "a", 1)
            vm.snapshot(tmp_path / "s")
            vm.restore(tmp_path / "s")
            _type(vm, "b", 2)
            vm.relocate()
            _type(vm, "c", 3)
            assert [_ends(each) for each in ends] == [True, True, False]

    def test_a_state_that_is_no_state(self, counting, options, tmp_path):
        with machine.launch(counting, options) as vm:
            saved = vm.suspend(tmp_path / "s")
        path = tmp_path / "s" / saved.memory.name
        with path.open("r+b") as stream:
            stream.write(os.urandom(64))
        with (
            pytest.raises(SuspensionError, match="not what was written"),
            machine.resume(tmp_path / "s", options),
        ):
            pytest.fail("it goes on")

    def test_a_state_of_other_memory(self, counting, options, tmp_path):
        with machine.launch(counting, options) as vm:
            vm.suspend(tmp_path / "s")
        with (
            pytest.raises(MachineError, match="QEMU does not take this state"),
            machine.resume(tmp_path / "s", options, spec=replace(counting, mem_mib=64)),
        ):
            pytest.fail("it goes on")
