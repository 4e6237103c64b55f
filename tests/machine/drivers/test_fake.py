import asyncio
import socket

import pytest

from sampan import machine
from sampan.errors import UnsupportedError
from sampan.machine.control import CommandError
from sampan.machine.driver import Capability
from sampan.machine.error import MachineEndedError, MachineError
from sampan.machine.port import PortError
from sampan.machine.testing import (
    Await,
    AwaitButton,
    FakeDriver,
    Finish,
    Notice,
    Reset,
    Say,
    Script,
    Sleep,
    spec,
)
from sampan.machine.view.event import PowerButtonPressed, Rebooted, StateChanged


def live(script, use, options, **fields):
    """Act out `script` for `use(vm)`; gives its value and the machine that acted."""
    driver = script if isinstance(script, FakeDriver) else FakeDriver(script)
    launch = machine.LaunchOptions(driver=driver, runtime_root=options.runtime_root)

    async def run():
        async with machine.VM.launch(spec(**fields), launch) as vm:
            return await use(vm)

    return asyncio.run(run()), driver.machines[0]


def test_a_conversation_on_the_console(options):
    async def use(vm):
        await vm.console.expect("login:", timeout_s=60)
        vm.console.send_line("root")
        await vm.console.expect("# ", timeout_s=60)
        return await vm.wait(timeout_s=60)

    steps = (Say("login:"), Await("root\r"), Say(b"# "), Finish())
    end, acted = live(Script(steps=steps), use, options)
    assert end.clean
    assert acted.typed == "root\r"
    assert acted.done == 4


def test_what_is_waited_for_has_to_be_typed_again(options):
    async def use(vm):
        vm.console.send("yes")
        await vm.console.expect("sure?", timeout_s=60)
        vm.console.send("yes")
        await vm.console.expect("done", timeout_s=60)

    steps = (Await("yes"), Say("sure?"), Await("yes"), Say("done"))
    _, acted = live(Script(steps=steps), use, options)
    assert acted.done == 4


def test_a_shell_answers_lines(options):
    async def use(vm):
        vm.console.send("una")
        vm.console.send_line("me")
        vm.console.send_line("")
        return (await vm.console.expect("Linux", timeout_s=60)).text

    said, _ = live(Script(shell={"uname": "Linux", "": ""}.__getitem__), use, options)
    assert said == "Linux"


def test_power_off_by_the_button(options):
    end, acted = live(Script(presses=2), _press_until_end, options)
    assert end.ending is machine.Ending.POWERED_OFF
    assert acted.presses == 2


async def _press_until_end(vm):
    await vm.press_power_button()
    await vm.press_power_button()
    return await vm.wait(timeout_s=60)


def test_a_deaf_guest_is_ended(options):
    end, _ = live(Script(presses=None), lambda vm: vm.power_off(deadline_s=0.01), options)
    assert end.ending is machine.Ending.FORCED


def test_a_guest_that_shuts_down_slowly_says_so(options):
    async def use(vm):
        await vm.press_power_button()
        await vm.console.expect("stopping", timeout_s=60)
        return await vm.wait(timeout_s=60)

    steps = (AwaitButton(), Say("stopping"), Sleep(3600), Finish())
    end, _ = live(Script(steps=steps, presses=None), use, options)
    assert end.clean


def test_events(options):
    async def use(vm):
        await vm.pause()
        await vm.resume()
        await vm.press_power_button()
        return [event async for event in vm.events()]

    steps = (Notice("RESET", {"guest": True}), AwaitButton(), Reset(), Finish())
    happened, _ = live(Script(steps=steps, presses=None), use, options)
    kinds = [type(event) for event in happened]
    assert kinds.count(Rebooted) == 2
    assert PowerButtonPressed in kinds
    changes = [event.new.value for event in happened if isinstance(event, StateChanged)]
    assert changes == ["running", "paused", "running", "ended"]


def test_nothing_happens_while_it_is_paused(options):
    async def use(vm):
        await vm.pause()
        vm.console.send("x")
        for _ in range(10):
            await asyncio.sleep(0)
        before = str(vm.console.transcript)
        await vm.resume()
        await vm.console.expect("heard", timeout_s=60)
        return before

    before, _ = live(Script(steps=(Await("x"), Await(""), Say("heard"))), use, options)
    assert before == ""


def test_a_panic_is_seen_on_the_console(options):
    steps = (Say("Kernel panic - not syncing: no init"), Reset())
    end, _ = live(Script(steps=steps), lambda vm: vm.wait(timeout_s=60), options)
    assert end.ending is machine.Ending.PANICKED
    assert "no init" in end.detail


@pytest.mark.parametrize("ending", list(machine.Ending))
def test_every_way_to_end(options, ending):
    steps = (Finish(ending, "so be it"),)
    end, _ = live(Script(steps=steps), lambda vm: vm.wait(timeout_s=60), options)
    assert end == machine.End(ending=ending, detail="so be it")


def test_commands_are_answered_and_refused(options):
    async def use(vm):
        assert await vm.execute("query-status") == {"status": "running"}
        assert await vm.execute("balloon", {"value": 1}) == {}
        with pytest.raises(CommandError, match="no such device"):
            await vm.execute("device_del")
        await vm.kill()
        with pytest.raises(MachineEndedError):
            await vm.execute("query-status")
        with pytest.raises(MachineEndedError):
            await vm.pause()
        with pytest.raises(MachineEndedError):
            vm.console.send("x")

    script = Script(
        answers={"query-status": {"status": "running"}}, refusals={"device_del": "no such device"}
    )
    _, acted = live(script, use, options)
    assert [name for name, _ in acted.commands] == ["query-status", "balloon", "device_del"]


def test_a_start_that_fails(options):
    driver = FakeDriver(Script(start_failure="out of memory"))
    with pytest.raises(MachineError, match="did not start: out of memory"):
        live(driver, lambda vm: vm.wait(), options)
    assert driver.machines == []


def test_what_it_is_said_not_to_do_it_does_not(options):
    driver = FakeDriver(capabilities=frozenset(Capability) - {Capability.PUBLISH})
    with pytest.raises(UnsupportedError, match="fake cannot do publish"):
        live(driver, lambda vm: vm.wait(), options, publish=(PORT,))


PORT = machine.Forward(host_port=0, guest_port=80)


def test_published_ports_get_numbers(options):
    async def use(vm):
        return [each.host_port for each in vm.forwards], vm.argv

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    fixed = machine.Forward(host_port=number, guest_port=81)
    (ports, argv), acted = live(Script(), use, options, publish=(PORT, fixed), name="web")
    assert ports == [40000, number]
    assert argv == ("fake", "web")
    assert acted.spec.name == "web"


def test_ports_come_and_go(options):
    async def use(vm):
        one, two = await vm.expose(PORT), await vm.expose(PORT)
        assert vm.forwards == (one, two)
        assert await vm.unexpose(one) == one
        with pytest.raises(PortError, match="nothing is published on"):
            await vm.unexpose(one)
        with pytest.raises(PortError, match="is not published"):
            await acting.machines[0].unexpose(one)
        return one, two, vm.forwards

    acting = FakeDriver()
    (one, two, left), acted = live(acting, use, options)
    assert (one.host_port, two.host_port) == (40000, 40001)
    assert left == acted.published == (two,)


def test_time_passes_when_asked_to(options):
    async def use(vm):
        await vm.console.expect("later", timeout_s=60)
        return asyncio.get_running_loop().time()

    live(Script(steps=(Sleep(1), Say("later")), pace=0.001), use, options)
