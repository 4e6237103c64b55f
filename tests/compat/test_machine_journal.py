"""Events, readiness and counters of a real QEMU, whose guest is a kernel of a few instructions."""

import pytest

from sampan import machine
from sampan.base import proc
from sampan.machine import selftest
from sampan.machine.view import readiness
from sampan.machine.view.event import Ended, PowerButtonPressed, StateChanged
from sampan.machine.view.readiness import NotReadyError

pytestmark = [
    pytest.mark.compat,
    pytest.mark.skipif(not proc.has_tool("qemu-system-x86_64"), reason="needs QEMU"),
]
SAYS = readiness.console(selftest.SAYS, deadline_s=60)


@pytest.fixture
def spec(tmp_path):
    """A machine that says a line, and then halts instead of switching itself off."""
    kernel = tmp_path / "kernel"
    # without its writes to the ports of the power button
    silent = selftest.kernel(machine.Arch.AMD64).replace(b"\xb8\x00\x20\xef", b"\x90" * 4)
    kernel.write_bytes(silent)
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(1 << 20))
    return machine.MachineSpec(
        kernel=kernel, accel=machine.Accelerator.TCG, arch=machine.Arch.AMD64, cpus=2, mem_mib=64,
        network=machine.Network.NONE, name="few", disks=(machine.Disk(path=disk),),
        cmdline="console=ttyS0",
    )  # fmt: skip


def test_a_life(spec, runtime_root):
    options = machine.LaunchOptions(runtime_root=runtime_root, ready=SAYS)
    with machine.launch(spec, options) as vm:
        vm.pause()
        vm.resume()
        vm.press_power_button()
        counted = vm.metrics()
        vm.kill()
        happened = list(vm.events())
    changes = [each.new.value for each in happened if isinstance(each, StateChanged)]
    assert changes == ["running", "paused", "running", "ended"]
    assert any(isinstance(each, PowerButtonPressed) for each in happened)
    assert isinstance(happened[-1], Ended)
    assert [each.cpus for each in counted.cpu_threads] == [(0, 1)]  # they take turns under TCG
    assert [each.disk for each in counted.disks] == ["disk0"]
    assert counted.rss_bytes > 1 << 20
    assert counted.cpu_s > 0


def test_not_ready(spec, runtime_root):
    never = readiness.in_order(SAYS, readiness.console("login:", deadline_s=0.1))
    options = machine.LaunchOptions(runtime_root=runtime_root, ready=never)
    with pytest.raises(NotReadyError) as caught, machine.launch(spec, options):
        pytest.fail("it is never ready")
    assert caught.value.stage == "the console shows 'login:'"
    assert selftest.SAYS in str(caught.value)
