import asyncio
import dataclasses
import os
import signal
import socket
from pathlib import Path

import pytest

from sampan import machine
from sampan.base import proc
from sampan.errors import ToolMissingError, UnsupportedError, UsageError
from sampan.machine import Ending, Forward, lifecycle
from sampan.machine.agent import NoAgentError
from sampan.machine.control import CommandError, Control
from sampan.machine.error import MachineEndedError, MachineError, MachineTimeoutError
from sampan.machine.port import PortError
from sampan.machine.view import event


def live(spec, options, use):
    """Launch `spec`, run `use(vm)` in the block, give its value."""

    async def run():
        async with machine.VM.launch(spec, options) as vm:
            return await use(vm)

    return asyncio.run(run())


def test_guest_that_powers_off_ends_clean(scripted, options):
    async def use(vm):
        match = await vm.console.expect("hello", timeout_s=60)
        return match, await vm.wait(timeout_s=60), str(vm.console.transcript)

    match, end, transcript = live(scripted("say hello", "say bye", "poweroff"), options, use)
    assert match.text == "hello"
    assert end.ending is Ending.POWERED_OFF
    assert end.clean
    assert transcript == "hello\nbye\n"


def test_typing_reaches_the_guest(scripted, options):
    async def use(vm):
        await vm.console.expect("login:", timeout_s=60)
        vm.console.send_line("root")
        await vm.console.expect("welcome", timeout_s=60)
        return await vm.wait(timeout_s=60)

    end = live(scripted("say login:", "await root\r", "say welcome", "poweroff"), options, use)
    assert end.clean


def test_power_off_presses_the_button(scripted, options):
    end = live(scripted("button", "poweroff"), options, lambda vm: vm.power_off(deadline_s=60))
    assert end.ending is Ending.POWERED_OFF


def test_a_guest_that_was_still_booting_hears_a_later_press(scripted, options, monkeypatch):
    monkeypatch.setattr(lifecycle, "PRESS_AGAIN_S", 0.05)
    steps = ("button", "button", "poweroff")
    end = live(scripted(*steps), options, lambda vm: vm.power_off(deadline_s=60))
    assert end.ending is Ending.POWERED_OFF


def test_guest_that_ignores_the_button_is_ended(scripted, options):
    end = live(scripted("hang"), options, lambda vm: vm.power_off(deadline_s=0.05))
    assert end.ending is Ending.FORCED
    assert not end.clean


def test_power_off_of_a_machine_that_has_ended_says_how(scripted, options):
    async def use(vm):
        await vm.wait(timeout_s=60)
        return await vm.power_off()

    assert live(scripted("poweroff"), options, use).ending is Ending.POWERED_OFF


def test_wait_has_a_deadline(scripted, options):
    with pytest.raises(MachineTimeoutError, match=r"still runs after 0\.05 s"):
        live(scripted("hang"), options, lambda vm: vm.wait(timeout_s=0.05))


def test_leaving_the_block_ends_the_hypervisor_and_removes_its_folder(scripted, options):
    async def use(vm):
        return vm.pid

    pid = live(scripted("hang"), options, use)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert [path.name for path in options.runtime_root.iterdir()] == ["lock"]


def test_hypervisor_that_dies_is_explained(scripted, options):
    spec = scripted("complain out of luck", "exit 3")
    end = live(spec, options, lambda vm: vm.wait(timeout_s=60))
    assert end.ending is Ending.DIED
    assert end.detail == "QEMU ended with status 3: out of luck"


def test_hypervisor_killed_from_outside_is_explained(scripted, options):
    async def use(vm):
        os.kill(vm.pid, signal.SIGKILL)
        return await vm.wait(timeout_s=60)

    end = live(scripted("hang"), options, use)
    assert end.ending is Ending.DIED
    assert "SIGKILL" in end.detail


def test_panic_that_resets_ends_the_machine(scripted, options):
    spec = scripted("say [1.0] Kernel panic - not syncing: no init", "await ok", "reset", "hang")

    async def use(vm):
        await vm.console.expect("panic", timeout_s=60)
        vm.console.send("ok")
        return await vm.wait(timeout_s=60)

    end = live(spec, options, use)
    assert end.ending is Ending.PANICKED
    assert end.detail == "the guest's kernel panicked: no init"


def test_panic_told_by_the_guest_ends_the_machine(scripted, options):
    event = '{"event": "GUEST_PANICKED", "data": {"action": "poweroff"}}'
    shutdown = '{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-panic"}}'
    spec = scripted(f"event {event}", f"event {shutdown}", "exit 0")
    end = live(spec, options, lambda vm: vm.wait(timeout_s=60))
    assert end.ending is Ending.PANICKED


def test_hypervisor_that_does_not_start_says_why(scripted, options):
    with pytest.raises(MachineError, match="QEMU did not start: fake: I do not want to") as caught:
        live(scripted("silent"), options, lambda vm: vm.wait())
    assert "qemu-system-x86_64" in (caught.value.hint or "")


def test_who_gives_up_while_it_starts_leaves_no_process(scripted, options, monkeypatch):
    children = []
    start = proc.start

    def noted(*words, **more):
        children.append(start(*words, **more))
        return children[-1]

    async def never(control):
        answering.set()
        await asyncio.Event().wait()

    async def run():
        async with machine.VM.launch(scripted("say hello"), options):
            raise AssertionError("it does not start")

    async def given_up():
        launching = asyncio.create_task(run())
        await answering.wait()
        launching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await launching

    answering = asyncio.Event()
    monkeypatch.setattr(proc, "start", noted)
    monkeypatch.setattr(Control, "ready", never)
    asyncio.run(given_up())
    assert children[-1].poll() is not None


def test_missing_hypervisor_names_its_package(scripted, options, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("shutil.which", lambda *_args, **_options: None)
    with pytest.raises(ToolMissingError, match="qemu-system-x86_64 is not installed") as caught:
        live(scripted("hang"), options, lambda vm: vm.wait())
    assert "apt install qemu-system-x86" in (caught.value.hint or "")


def test_taken_port_is_told_before_anything_starts(scripted, options):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        spec = scripted("hang", publish=(Forward(host_port=port, guest_port=80),))
        with pytest.raises(PortError, match=f"host port {port}/tcp is already in use"):
            live(spec, options, lambda vm: vm.wait())
    assert list(options.runtime_root.iterdir()) == []


def test_any_free_port_becomes_a_real_one(scripted, options):
    spec = scripted("hang", publish=(Forward(host_port=0, guest_port=80),))

    async def use(vm):
        return vm.forwards

    assert live(spec, options, use) == (Forward(host_port=40080, guest_port=80),)


def test_ports_come_and_go_while_it_runs(scripted, options):
    spec = scripted("hang", publish=(Forward(host_port=0, guest_port=80),))

    async def use(vm):
        [first] = vm.forwards
        added = await vm.expose(Forward(host_port=0, guest_port=81))
        assert added == Forward(host_port=40081, guest_port=81)
        assert vm.forwards == (first, added)
        with pytest.raises(PortError, match="host port 40081/tcp is published already"):
            await vm.expose(added)
        with pytest.raises(UnsupportedError, match="IPv4"):
            await vm.expose(Forward.parse("[::1]:0:80"))
        assert await vm.unexpose(Forward(host_port=40080, guest_port=99)) == first
        with pytest.raises(PortError, match=r"nothing is published on 127\.0\.0\.1 port 40080/tcp"):
            await vm.unexpose(first)
        await vm.kill()
        with pytest.raises(MachineEndedError):
            await vm.expose(first)
        told = [each async for each in vm.events()]
        kinds = (event.PortExposed, event.PortUnexposed)
        assert [(type(each), each.forward) for each in told if isinstance(each, kinds)] == [
            (event.PortExposed, added), (event.PortUnexposed, first),
        ]  # fmt: skip
        return vm.forwards == (added,)

    assert live(spec, options, use)


def test_taken_port_is_told_while_it_runs(scripted, options):
    async def use(vm):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(PortError, match=f"host port {port}/tcp is already in use"):
                await vm.expose(Forward(host_port=port, guest_port=80))
        return vm.forwards

    assert live(scripted("hang"), options, use) == ()


def test_hypervisor_commands_and_refusals(scripted, options):
    async def use(vm):
        assert await vm.execute("query-status") == {}
        with pytest.raises(CommandError, match="no such command") as caught:
            await vm.execute("no-such-command")
        await vm.kill()
        with pytest.raises(MachineEndedError):
            await vm.execute("query-status")
        return caught.value.kind

    assert live(scripted("hang"), options, use) == "CommandNotFound"


def test_spec_without_sense_is_refused(scripted, options):
    with pytest.raises(UsageError, match="0 cpus"):
        live(scripted("hang", cpus=0), options, lambda vm: vm.wait())


@pytest.mark.parametrize(
    ("network", "link", "text"),
    [
        ("stream", {}, "needs a desc"),
        ("user", {"link_fd": 1}, "needs no desc"),
        ("vhost-user", {}, "needs a path"),
        ("stream", {"link_fd": 1, "link_path": Path("/s")}, "needs no path"),
    ],
)
def test_a_network_has_the_link_it_needs(scripted, options, network, link, text):
    spec = scripted("hang", network=machine.Network(network))
    linked = dataclasses.replace(options, **link)
    with pytest.raises(UsageError, match=text):
        live(spec, linked, lambda vm: vm.wait())


def test_missing_kernel_is_named(scripted, options, tmp_path):
    spec = machine.MachineSpec(kernel=tmp_path / "nothing")
    with pytest.raises(MachineError, match="nothing: no such file"):
        live(spec, options, lambda vm: vm.wait())


def test_two_machines_at_once(scripted, options):
    spec = scripted("say one", "hang")

    async def run():
        async with machine.VM.launch(spec, options) as one, machine.VM.launch(spec, options) as two:
            await one.console.expect("one", timeout_s=60)
            await two.console.expect("one", timeout_s=60)
            return one.pid, two.pid

    first, second = asyncio.run(run())
    assert first != second


def test_everything_that_happened_can_be_replayed(scripted, options):
    async def use(vm):
        assert vm.state == "running"
        await vm.pause()
        assert vm.state == "paused"
        await vm.resume()
        await vm.power_off(deadline_s=60)
        return [each async for each in vm.events()]

    happened = live(scripted("button", "poweroff"), options, use)
    changes = [each.new.value for each in happened if isinstance(each, event.StateChanged)]
    assert changes == ["running", "paused", "running", "ended"]
    assert any(isinstance(each, event.PowerButtonPressed) for each in happened)
    assert happened[-1].end.ending is Ending.POWERED_OFF
    assert [each.seq for each in happened] == list(range(1, len(happened) + 1))


def test_an_end_that_nobody_waits_for_is_an_event(scripted, options):
    async def use(vm):
        return [each async for each in vm.events()][-1]

    assert live(scripted("exit 3"), options, use).end.ending is Ending.DIED


def test_a_machine_without_a_channel_to_an_agent(scripted, options):
    async def use(vm):
        with pytest.raises(UsageError, match="without a channel to an agent") as caught:
            await vm.exec(["true"])
        return caught.value.hint

    assert live(scripted("hang"), options, use) == "say MachineSpec(agent=True)"


def test_a_channel_with_nobody_at_its_other_end(scripted, options):
    """It is connected before the guest runs, and nothing waits for it."""

    async def use(vm):
        with pytest.raises(NoAgentError, match="no agent answers"):
            await vm.agent.ready(deadline_s=0.01)
        vm.agent.link.heard(event.AgentDown())
        end = await vm.kill()
        with pytest.raises(NoAgentError, match="the machine has ended"):
            await vm.copy_to("/etc/hosts", "/tmp")
        return end.ending

    assert live(scripted("hang", agent=True), options, use) is Ending.FORCED
