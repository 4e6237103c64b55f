from pathlib import Path

import pytest

from sampan.cli import hardware
from sampan.desktop.bundle import Bundle
from sampan.errors import UsageError
from sampan.machine import Accelerator, Arch, MachineSpec
from sampan.machine.testing import FakeDriver

MUTE = FakeDriver(capabilities=frozenset())


@pytest.mark.parametrize(
    ("text", "expected"),
    [(None, None), ("auto", None), ("kvm", "kvm"), ("kvm:tcg", None), ("tcg:kvm", "tcg")],
)
def test_accelerator_lists(text, expected):
    assert hardware._accelerator(text) == expected


@pytest.mark.parametrize(("text", "mib"), [("512", 512), ("2G", 2048), ("512M", 512)])
def test_memory_sizes(text, mib):
    assert hardware._mem_mib(text) == mib


def found(tmp_path, arch=None):
    return Bundle(kernel=tmp_path / "k", initrd=tmp_path / "i", cmdline="quiet", arch=arch)


def test_the_machine_that_boots_a_system(tmp_path):
    flags = hardware.Flags(cpus=2, mem="2G", accel="tcg")
    spec = hardware.machine(found(tmp_path, Arch.ARM64), "web", flags, FakeDriver())
    assert (spec.cpus, spec.mem_mib, spec.accel) == (2, 2048, Accelerator.TCG)
    assert (spec.arch, spec.name, spec.agent, spec.cmdline) == (Arch.ARM64, "web", True, "quiet")


def test_a_kernel_that_does_not_tell(tmp_path):
    spec = hardware.machine(found(tmp_path), "web", hardware.Flags(arch="aarch64"), MUTE)
    assert (spec.arch, spec.agent) == (Arch.ARM64, False)


@pytest.mark.parametrize("flags", [hardware.Flags(cpus=0), hardware.Flags(arch="vax")])
def test_what_cannot_be(tmp_path, flags):
    with pytest.raises(UsageError):
        hardware.machine(found(tmp_path), "web", flags, MUTE)


def test_flags_are_above_a_document():
    spec = MachineSpec(kernel=Path("k"), cpus=4, mem_mib=256, accel=Accelerator.KVM)
    assert hardware.altered(spec, hardware.Flags()) == spec
    changed = hardware.altered(spec, hardware.Flags(cpus=2, mem="1G", accel="tcg", arch="arm64"))
    assert (changed.cpus, changed.mem_mib, changed.accel) == (2, 1024, Accelerator.TCG)
    assert changed.arch is Arch.ARM64
    with pytest.raises(UsageError):
        hardware.altered(spec, hardware.Flags(mem="1M"))


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (
            ["--iso"],
            "--iso is not there yet: this version runs kernel+initrd systems only",
            "flags",
        ),
        (["-qemu", "q"], "--qemu is not there: QEMU is found by PATH", "first in PATH"),
        (["--vpnkit", "v"], "--vpnkit is not there: the network is Sampan's own", "vpnkit,PATH"),
        (["--vpnkit-uuid", "u"], "--vpnkit-uuid is not there", "--ip ADDRESS"),
    ],
)
def test_flags_that_linuxkit_had(sampan, words, message, hint):
    said = sampan("run", *words, "web")
    assert said.status == 2
    assert message in said.err
    assert hint in said.err
