from pathlib import Path

import pytest

from sampan.machine.device import Vsock
from sampan.machine.drivers import qemu_argv, qemu_vsock
from sampan.machine.model import Accelerator, Arch, MachineSpec


def spec(arch=Arch.AMD64, vsock: Vsock | None = Vsock()):  # noqa: B008  it is frozen
    return MachineSpec(kernel=Path("k"), arch=arch, vsock=vsock)


def test_without_vsock_there_is_nothing():
    assert qemu_vsock.words(spec(vsock=None), Accelerator.TCG, "/run/d") == ()


def test_on_a_bus_where_anything_can_be_plugged_in():
    assert qemu_vsock.words(spec(), Accelerator.TCG, "/run/d") == (
        "-chardev", "socket,id=vsock,path=/run/d",
        "-device", "vhost-user-vsock-pci,id=vsock0,chardev=vsock",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arch", "accel"), [(Arch.AMD64, Accelerator.KVM), (Arch.ARM64, Accelerator.TCG)]
)
def test_below_a_port_of_its_own(arch, accel):
    words = qemu_vsock.words(spec(arch), accel, "/run/d")
    assert words[2:] == (
        "-device", "pcie-root-port,id=vsock-port,chassis=62",
        "-device", "vhost-user-vsock-pci,id=vsock0,chardev=vsock,bus=vsock-port",
    )  # fmt: skip
    assert qemu_vsock.properties(spec(arch), accel)["bus"] == "vsock-port"


def test_the_device_reads_and_writes_the_guests_memory():
    wiring = qemu_argv.Wiring(control_fd=5, console_fd=6, vsock_path="/run/a,b")
    argv = qemu_argv.build(spec(), accel=Accelerator.TCG, wiring=wiring)
    assert "pc,memory-backend=ram0" in argv
    assert "socket,id=vsock,path=/run/a,,b" in argv
