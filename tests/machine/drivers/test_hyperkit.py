import asyncio
import json

import pytest

from sampan import machine
from sampan.errors import ToolMissingError, UnsupportedError
from sampan.machine import Ending, Vsock, testing
from sampan.machine.drivers.hyperkit import HyperKitDriver
from sampan.machine.error import MachineError, MachineTimeoutError
from sampan.machine.view.event import Rebooted


@pytest.fixture
def scripted(acted_by):
    install = acted_by("hyperkit")
    return lambda *steps, **fields: install(*steps, **{"arch": machine.Arch.AMD64, **fields})


@pytest.fixture
def options(runtime_root):
    return machine.LaunchOptions(driver=HyperKitDriver(), runtime_root=runtime_root)


def live(spec, options, use):
    async def run():
        async with machine.VM.launch(spec, options) as vm:
            return await asyncio.wait_for(use(vm), 60)

    return asyncio.run(run())


def left(options):
    return [path.name for path in options.runtime_root.iterdir()]


def test_a_whole_life(scripted, options):
    async def use(vm):
        await vm.console.expect("login:", timeout_s=60)
        vm.console.send_line("root")
        await vm.console.expect("welcome", timeout_s=60)
        return await vm.power_off(deadline_s=60), str(vm.console.transcript), vm.verdict.accel

    steps = ("say login:", "await root\r", "say welcome", "button", "say bye", "poweroff")
    end, said, accel = live(scripted(*steps), options, use)
    assert end.ending is Ending.POWERED_OFF
    assert said == "login:\nwelcome\nbye\n"
    assert accel == "hvf"
    assert left(options) == ["lock"]


def test_pause_and_resume(scripted, options):
    async def use(vm):
        await vm.console.expect("up", timeout_s=60)
        await vm.pause()
        paused = vm.state
        vm.console.send("go")
        await vm.resume()
        await vm.console.expect("gone", timeout_s=60)
        return paused

    assert live(scripted("say up", "await go", "say gone", "hang"), options, use) == "paused"


def test_a_guest_that_reboots_starts_again(scripted, options):
    async def use(vm):
        vm.console.send("go")
        end = await vm.wait(timeout_s=60)
        rebooted = [e async for e in vm.events() if isinstance(e, Rebooted)]
        return end, str(vm.console.transcript), len(rebooted)

    steps = ("await go", "say first", "reboot", "say second", "poweroff")
    end, said, reboots = live(scripted(*steps), options, use)
    assert (end.ending, said, reboots) == (Ending.POWERED_OFF, "first\nsecond\n", 1)


def test_a_guest_that_panics_and_reboots_is_ended(scripted, options):
    steps = ("say Kernel panic - not syncing: no init", "await x", "reboot", "say again")

    async def use(vm):
        await vm.console.expect("panic", timeout_s=60)
        vm.console.send("x")
        return await vm.wait(timeout_s=60)

    end = live(scripted(*steps), options, use)
    assert end.ending is Ending.PANICKED


def test_a_reboot_may_be_the_end(scripted, options):
    async def use(vm):
        vm.console.send("go")
        return await vm.wait(timeout_s=60)

    spec = scripted("await go", "reboot", reboots=False)
    assert live(spec, options, use).ending is Ending.REBOOTED


def test_what_its_users_look_for_is_in_the_state_folder(scripted, runtime_root, tmp_path):
    folder = tmp_path / "web-state"
    folder.mkdir()
    driver = HyperKitDriver(folder)
    options = machine.LaunchOptions(driver=driver, runtime_root=runtime_root)

    async def use(vm):
        found = json.loads((folder / "hyperkit.json").read_text())
        terminal = (folder / "tty").read_text().strip()
        return found["pid"] == vm.pid, terminal.startswith("/dev/"), found["arguments"][0]

    assert live(scripted("hang"), options, use) == (True, True, "hyperkit")
    assert sorted(path.name for path in folder.iterdir()) == [
        "console-ring",
        "hyperkit.json",
        "hyperkit.pid",
        "tty",
    ]


def test_vsock_sockets(scripted, options):
    async def use(vm):
        return sorted(path.name for path in vm.folder.path.iterdir())

    names = live(scripted("hang", vsock=Vsock(ports=(2374,))), options, use)
    assert {"connect", "00000003.00000946", "guest.00000946"} <= set(names)
    assert left(options) == ["lock"]


def test_a_start_that_fails_is_explained(scripted, options):
    with pytest.raises(MachineError, match=r"hyperkit did not start.*I do not want to"):
        live(scripted("silent"), options, lambda vm: vm.wait())
    assert left(options) == ["lock"]


def test_a_start_that_hangs_has_a_deadline(scripted, runtime_root):
    options = machine.LaunchOptions(
        driver=HyperKitDriver(), runtime_root=runtime_root, start_deadline_s=0.3
    )
    with pytest.raises(MachineTimeoutError, match="was not ready within"):
        live(scripted("mute"), options, lambda vm: vm.wait())


def test_without_hyperkit_it_says_what_it_takes(options, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda *_args, **_options: None)
    spec = testing.spec(network=machine.Network.NONE)
    with pytest.raises(ToolMissingError, match="hyperkit is not installed") as caught:
        live(spec, options, lambda vm: vm.wait())
    assert "Intel" in (caught.value.hint or "")


def test_other_accelerators_are_refused(scripted, options):
    spec = scripted("hang", accel=machine.Accelerator.TCG)
    with pytest.raises(UnsupportedError, match="hyperkit cannot do machines on tcg"):
        live(spec, options, lambda vm: vm.wait())
