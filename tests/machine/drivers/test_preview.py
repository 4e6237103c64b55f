from pathlib import Path

import pytest

from sampan.machine import Accelerator, Arch, MachineSpec, Network, Share, Vsock, accel
from sampan.machine.drivers import preview
from sampan.machine.model import Verdict

SPEC = MachineSpec(kernel=Path("k"), network=Network.NONE, arch=Arch.AMD64)


@pytest.mark.parametrize(
    ("driver", "program"),
    [("qemu", "qemu-system-x86_64"), ("vfkit", "vfkit"), ("hyperkit", "hyperkit")],
)
def test_each_driver_has_a_command_line(driver, program):
    assert preview.command_line(driver, SPEC, "/run/vm")[0] == program
    with pytest.raises(KeyError):
        preview.command_line("bochs", SPEC, "/run/vm")


def test_what_is_made_for_a_run_is_in_the_folder():
    spec = MachineSpec(
        kernel=Path("k"), network=Network.VHOST_USER, agent=True, vsock=Vsock(ports=(7,)),
        shares=(Share(source=Path("/a"), tag="a"),),
    )  # fmt: skip
    line = " ".join(preview.command_line("qemu", spec, "/run/vm"))
    for each in ("/run/vm/net", "/run/vm/share0", "/run/vm/vsock", "fd=3", "fd=4", "fd=5"):
        assert each in line


@pytest.mark.parametrize("driver", ["vfkit", "hyperkit"])
def test_sockets_of_vsock_have_short_paths(driver):
    vsock = Vsock(ports=(7,), folder=Path("/" + 200 * "long"))
    spec = MachineSpec(kernel=Path("k"), network=Network.NONE, vsock=vsock, arch=Arch.AMD64)
    assert "=/run/vm" in " ".join(preview.command_line(driver, spec, "/run/vm"))


def test_a_likely_accelerator(monkeypatch, tmp_path):
    asked = MachineSpec(kernel=Path("k"), accel=Accelerator.KVM)
    assert preview.likely_accelerator(asked, tmp_path) is Accelerator.KVM
    here = accel.host_arch()
    foreign = next(arch for arch in Arch if arch is not here)
    assert (
        preview.likely_accelerator(MachineSpec(kernel=Path("k"), arch=foreign), tmp_path) == "tcg"
    )
    monkeypatch.setattr(preview, "_KVM", "/nowhere")
    monkeypatch.setattr(accel, "host_arch", lambda: Arch.AMD64)
    assert preview.likely_accelerator(SPEC, tmp_path) is Accelerator.TCG
    monkeypatch.setattr(preview, "_KVM", "/dev/null")
    assert preview.likely_accelerator(SPEC, tmp_path) is Accelerator.KVM
    monkeypatch.setattr("sys.platform", "darwin")
    assert preview.likely_accelerator(SPEC, tmp_path) is Accelerator.HVF


def test_what_was_found_out_is_believed(monkeypatch, tmp_path):
    monkeypatch.setattr(accel, "host_arch", lambda: Arch.AMD64)
    monkeypatch.setattr(preview, "_KVM", "/dev/null")
    found = {tmp_path: Verdict(Accelerator.TCG, "kvm crashed")}
    monkeypatch.setattr(accel, "remembered", lambda _arch, root: found.get(root))
    assert preview.likely_accelerator(SPEC, tmp_path) is Accelerator.TCG
    assert "-accel tcg" in " ".join(preview.command_line("qemu", SPEC, f"{tmp_path}/vm"))
