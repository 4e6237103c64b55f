import pytest

from sampan.errors import ToolMissingError
from sampan.machine import accel
from sampan.machine.error import MachineError
from sampan.machine.model import Accelerator, Arch, Verdict


@pytest.fixture(autouse=True)
def _x86_linux(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("sys.platform", "linux")


def test_kvm_that_does_not_run_a_guest_is_not_used(fake_qemu, runtime_root):
    verdict = accel.choose(Arch.AMD64, runtime_root)
    assert verdict == Verdict(Accelerator.TCG, "fake: failed to initialize kvm")


def test_kvm_that_runs_a_guest_is_used(fake_qemu, runtime_root):
    (fake_qemu / "kvm-works").touch()
    assert accel.choose(Arch.AMD64, runtime_root) == Verdict(Accelerator.KVM)


def test_the_answer_is_remembered_for_this_boot(fake_qemu, runtime_root, monkeypatch):
    first = accel.choose(Arch.AMD64, runtime_root)
    (fake_qemu / "kvm-works").touch()
    assert accel.choose(Arch.AMD64, runtime_root) == first
    monkeypatch.setattr("sampan.machine.state.boot_id", lambda: "the next boot")
    assert accel.choose(Arch.AMD64, runtime_root) == Verdict(Accelerator.KVM)


def test_what_is_remembered_is_had_without_running_anything(fake_qemu, runtime_root, monkeypatch):
    assert accel.remembered(Arch.AMD64, runtime_root) is None
    found = accel.choose(Arch.AMD64, runtime_root)
    monkeypatch.setattr(accel, "probe", None)
    assert accel.remembered(Arch.AMD64, runtime_root) == found
    monkeypatch.setattr("sampan.machine.state.boot_id", lambda: "the next boot")
    assert accel.remembered(Arch.AMD64, runtime_root) is None
    monkeypatch.setattr("shutil.which", lambda *_args, **_options: None)
    assert accel.remembered(Arch.AMD64, runtime_root) is None


def test_damaged_memory_is_no_obstacle(fake_qemu, runtime_root):
    (runtime_root / "accel-amd64.json").write_bytes(b"{}")
    assert accel.choose(Arch.AMD64, runtime_root).accel is Accelerator.TCG


def test_foreign_architecture_is_emulated_without_asking(fake_qemu, runtime_root):
    verdict = accel.choose(Arch.ARM64, runtime_root)
    assert verdict.accel is Accelerator.TCG
    assert "not the architecture of this computer" in verdict.why
    assert list(runtime_root.iterdir()) == []


def test_insisting(fake_qemu, runtime_root):
    assert accel.require(Arch.AMD64, Accelerator.TCG, runtime_root).accel is Accelerator.TCG
    with pytest.raises(MachineError, match="kvm does not run amd64 machines here: fake: failed"):
        accel.require(Arch.AMD64, Accelerator.KVM, runtime_root)


def test_insisting_on_what_works(fake_qemu, runtime_root):
    (fake_qemu / "kvm-works").touch()
    assert accel.require(Arch.AMD64, Accelerator.KVM, runtime_root).accel is Accelerator.KVM
    with pytest.raises(MachineError, match="not this system"):
        accel.require(Arch.AMD64, Accelerator.HVF, runtime_root)


def test_no_qemu(monkeypatch, runtime_root):
    monkeypatch.setattr("shutil.which", lambda *_args, **_options: None)
    with pytest.raises(ToolMissingError):
        accel.choose(Arch.AMD64, runtime_root)


def test_a_guest_that_never_runs_is_given_up(fake_qemu, runtime_root, monkeypatch):
    program = fake_qemu / "qemu-system-x86_64"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    monkeypatch.setattr(accel, "PROBE_DEADLINE_S", 0.05)
    why = accel.probe(Arch.AMD64, Accelerator.KVM, runtime_root)
    assert why == "no instruction was executed within 0.05 s"
    assert list(runtime_root.iterdir()) == []


def test_a_silent_failure_is_told_by_its_status(fake_qemu, runtime_root):
    (fake_qemu / "qemu-system-x86_64").write_text("#!/bin/sh\nkill -ABRT $$\n")
    assert (
        accel.probe(Arch.AMD64, Accelerator.KVM, runtime_root)
        == "QEMU was killed by SIGABRT when it used kvm"
    )
