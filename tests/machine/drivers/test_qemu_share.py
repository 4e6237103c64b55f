from pathlib import Path

import pytest

from sampan.machine.device import Share, ShareKind
from sampan.machine.drivers import qemu_argv, qemu_share
from sampan.machine.model import Accelerator, MachineSpec

FIRST = Share(source=Path("/a"), tag="one", target="/one")
NINE = Share(source=Path("/b,c"), tag="two", kind=ShareKind.PLAN9)
READ_ONLY = Share(source=Path("/d"), tag="three", kind=ShareKind.PLAN9, read_only=True)
LAST = Share(source=Path("/e"), tag="four", read_only=True)
SPEC = MachineSpec(kernel=Path("k"), mem_mib=64, shares=(FIRST, NINE, READ_ONLY, LAST))


def test_each_share_has_its_device():
    assert qemu_share.words(SPEC, Accelerator.KVM, ["/run/s0", "/run/s,1"]) == (
        "-chardev", "socket,id=share0,path=/run/s0",
        "-device", "vhost-user-fs-pci,chardev=share0,tag=one",
        "-fsdev", "local,id=share1,path=/b,,c,security_model=mapped-xattr,multidevs=remap",
        "-device", "virtio-9p-pci,fsdev=share1,mount_tag=two",
        "-fsdev",
        "local,id=share2,path=/d,security_model=mapped-xattr,multidevs=remap,readonly=on",
        "-device", "virtio-9p-pci,fsdev=share2,mount_tag=three",
        "-chardev", "socket,id=share3,path=/run/s,,1",
        "-device", "vhost-user-fs-pci,chardev=share3,tag=four",
    )  # fmt: skip


def test_no_message_interrupts_without_kvm():
    argv = qemu_share.words(SPEC, Accelerator.TCG, ["a", "b"])
    assert [word for word in argv if word.endswith(",vectors=0")] == [
        "vhost-user-fs-pci,chardev=share0,tag=one,vectors=0",
        "vhost-user-fs-pci,chardev=share3,tag=four,vectors=0",
    ]


@pytest.mark.parametrize(("shares", "shared"), [((FIRST,), True), ((NINE,), False), ((), False)])
def test_memory_is_shared_with_back_ends(shares, shared):
    spec = MachineSpec(kernel=Path("k"), mem_mib=64, shares=shares)
    wiring = qemu_argv.Wiring(control_fd=5, console_fd=6, share_paths=("/run/s0",))
    argv = qemu_argv.build(spec, accel=Accelerator.TCG, wiring=wiring)
    memory = "memory-backend-memfd,id=ram0,size=64M,share=on"
    assert (memory in argv) == shared
    assert ("pc,memory-backend=ram0" in argv) == shared
