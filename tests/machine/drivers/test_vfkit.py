import asyncio
import gzip
import socket

import pytest

from sampan import machine
from sampan.errors import ToolMissingError, UnsupportedError
from sampan.machine import Ending, Vsock, testing
from sampan.machine.drivers.vfkit import VfkitDriver
from sampan.machine.error import MachineError, MachineTimeoutError
from sampan.machine.view.event import StateChanged


@pytest.fixture
def scripted(acted_by):
    return acted_by("vfkit")


@pytest.fixture
def options(runtime_root):
    return machine.LaunchOptions(driver=VfkitDriver(), runtime_root=runtime_root)


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
        await vm.pause()
        with pytest.raises(MachineError, match="cannot pause: it is paused"):
            await vm.pause()
        vm.console.send("go")
        await vm.resume()
        await vm.console.expect("gone", timeout_s=60)
        vm.console.send("end")
        return [event.new.value async for event in _changes(vm)]

    states = live(scripted("await go", "say gone", "await end", "exit 0"), options, use)
    assert states == ["running", "paused", "running", "ended"]


async def _changes(vm):
    async for event in vm.events():
        if isinstance(event, StateChanged):
            yield event


def test_a_deaf_guest_is_ended(scripted, options):
    end = live(scripted("hang"), options, lambda vm: vm.power_off(deadline_s=0.05))
    assert end.ending is Ending.FORCED


def test_leaving_the_block_ends_it(scripted, options):
    async def use(vm):
        return vm.pid, vm.argv[0]

    pid, program = live(scripted("hang"), options, use)
    assert program == "vfkit"
    assert machine.state.Identity.of(pid) is None
    assert left(options) == ["lock"]


def test_an_end_with_an_error_is_explained(scripted, options):
    spec = scripted("complain out of luck", "exit 4")
    end = live(spec, options, lambda vm: vm.wait(timeout_s=60))
    assert end.ending is Ending.DIED
    assert end.detail == "vfkit ended with status 4: out of luck"


def test_a_start_that_fails_is_explained(scripted, options):
    with pytest.raises(MachineError, match=r"vfkit did not start.*I do not want to") as caught:
        live(scripted("silent"), options, lambda vm: vm.wait())
    assert "--bootloader" in (caught.value.hint or "")
    assert left(options) == ["lock"]


def test_a_start_that_hangs_has_a_deadline(scripted, runtime_root):
    options = machine.LaunchOptions(
        driver=VfkitDriver(), runtime_root=runtime_root, start_deadline_s=0.3
    )
    with pytest.raises(MachineTimeoutError, match="was not ready within"):
        live(scripted("mute"), options, lambda vm: vm.wait())


def test_vsock_sockets(scripted, options):
    async def use(vm):
        path = vm.folder.path / "guest.00000946"
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b"ping")
        said = await reader.read(10)
        writer.close()
        return said

    assert live(scripted("hang", vsock=Vsock(ports=(2374,))), options, use) == b"ping"
    assert left(options) == ["lock"]


def test_vsock_sockets_may_have_links_with_long_paths(scripted, options, tmp_path):
    folder = tmp_path / ("x" * 200) / "web-state"

    async def use(vm):
        return [path.resolve().parent == vm.folder.path for path in folder.iterdir()]

    vsock = Vsock(ports=(2374, 9), folder=folder)
    assert live(scripted("hang", vsock=vsock), options, use) == [True, True]
    assert list(folder.iterdir()) == []


def test_frames_pass_as_datagrams(scripted, options):
    path = options.runtime_root / "net"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as network:
        network.bind(str(path))
        network.settimeout(60)
        linked = machine.LaunchOptions(
            driver=VfkitDriver(), runtime_root=options.runtime_root, link_path=path
        )

        async def use(vm):
            return [await asyncio.to_thread(network.recv, 100) for _ in range(2)]

        spec = scripted("frame 0a0b0c", "hang", network=machine.Network.DATAGRAM)
        assert live(spec, linked, use) == [b"VFKT", b"\x0a\x0b\x0c"]


def test_a_packed_kernel_is_unpacked(scripted, options):
    spec = scripted("hang")
    spec.kernel.write_bytes(gzip.compress(b"say unpacked\nhang"))

    async def use(vm):
        return (await vm.console.expect("unpacked", timeout_s=60)).text

    assert live(spec, options, use) == "unpacked"
    assert left(options) == ["lock"]
    spec.kernel.write_bytes(gzip.compress(b"say unpacked\nhang")[:-6])
    with pytest.raises(MachineError, match="cannot unpack"):
        live(spec, options, use)


def test_it_speaks_no_qmp(scripted, options):
    async def use(vm):
        with pytest.raises(UnsupportedError, match="does not speak QMP"):
            await vm.execute("query-status")
        return await vm.metrics()

    counted = live(scripted("hang"), options, use)
    assert counted.rss_bytes > 0
    assert counted.disks == ()


def test_without_vfkit_it_says_what_it_takes(options, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda *_args, **_options: None)
    spec = testing.spec(network=machine.Network.NONE)
    with pytest.raises(ToolMissingError, match="vfkit is not installed") as caught:
        live(spec, options, lambda vm: vm.wait())
    assert "macOS" in (caught.value.hint or "")
    assert "never run on a Mac" in (caught.value.hint or "")


@pytest.mark.parametrize("fields", [{"accel": machine.Accelerator.TCG}, {"arch": None}])
def test_other_processors_are_refused(scripted, options, fields):
    if fields.get("arch", 1) is None:
        here = machine.accel.host_arch()
        fields = {"arch": next(arch for arch in machine.Arch if arch is not here)}
    with pytest.raises(UnsupportedError, match="vfkit cannot do"):
        live(scripted("hang", **fields), options, lambda vm: vm.wait())
