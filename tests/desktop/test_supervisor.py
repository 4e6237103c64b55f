import asyncio
import os

import pytest

from sampan.desktop.supervisor import Supervisor
from sampan.machine import VM, Accelerator, End, Ending, LaunchOptions, MachineSpec
from sampan.machine.registry import logfile, place
from sampan.machine.registry.record import Port, Status
from sampan.machine.registry.store import Store, Wish
from sampan.machine.supervise.client import AsyncClient

PORT = Port(host_port=8080, guest_port=80, bind="127.0.0.1", protocol="tcp")


@pytest.fixture
def spec(fake_qemu, tmp_path):
    kernel = tmp_path / "script"
    kernel.write_text("say hello\nhang")
    return MachineSpec(kernel=kernel, accel=Accelerator.TCG)


def test_a_run_is_written_down(spec, tmp_path, runtime_root):
    store = Store(tmp_path / "machines", version="1")

    async def run(claim):
        supervisor = Supervisor(claim)
        options = LaunchOptions(runtime_root=runtime_root)
        async with VM.launch(claim.spec, options, prepare=supervisor.prepare) as vm:
            keeper: object = None
            async with supervisor.supervising(vm, keeper, ports=(PORT,), network="web"):  # type: ignore[arg-type]  # not used
                found = store.record("web")
                assert found.status is Status.RUNNING
                assert (found.run.hypervisor.pid, found.run.supervisor.pid) == (vm.pid, os.getpid())
                assert (found.run.ports, found.run.network) == ((PORT,), "web")
                assert found.run.argv == vm.argv
                assert found.run.control is not None
                client = AsyncClient(found.run.control)
                await client.pause()
                assert store.record("web").status is Status.PAUSED
                await client.resume()
                assert store.record("web").status is Status.RUNNING
                await vm.console.expect("hello", timeout_s=60)
                end = await vm.kill()
        supervisor.ended(end)

    with store.claim(spec, Wish(name="web", runtime_root=runtime_root)) as claim:
        asyncio.run(run(claim))
    found = store.record("web")
    assert (found.status, found.run.ended) == (Status.STOPPED, End(ending=Ending.FORCED))
    assert not found.run.control.exists()
    assert logfile.read(found.folder / place.CONSOLE_LOG) == b"hello\n"


def test_a_run_that_does_not_start(spec, tmp_path, runtime_root):
    store = Store(tmp_path / "machines", version="1")
    with store.claim(spec, Wish(name="web", runtime_root=runtime_root)) as claim:
        Supervisor(claim).close()
    assert store.names() == ()
