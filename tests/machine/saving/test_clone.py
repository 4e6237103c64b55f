"""Clones: acted out, and of a real machine with a disk."""

import asyncio

import pytest
from msgspec.structs import replace

from sampan import machine
from sampan.base import proc
from sampan.errors import UnsupportedError, UsageError
from sampan.machine import Accelerator, Disk, DiskFormat, Forward, LaunchOptions, MachineSpec
from sampan.machine.drivers.fake import Await, FakeDriver, Say, Script
from sampan.machine.model import Network
from sampan.machine.saving.clone import clones, variant
from sampan.machine.saving.suspension import SuspensionError
from sampan.machine.storage.disk import facts
from sampan.machine.testing import spec

needs_qemu = pytest.mark.skipif(not proc.has_tool("qemu-system-x86_64"), reason="needs QEMU")


@pytest.fixture
def faked(runtime_root):
    driver = FakeDriver(Script(steps=(Say("ready"), Await("x"), Say("got x"))))
    return LaunchOptions(driver=driver, runtime_root=runtime_root)


def _save(description, options, folder, until="ready"):
    with machine.launch(description, options) as vm:
        vm.console.expect(until, timeout_s=60)
        return vm.snapshot(folder)


def test_each_goes_on_by_itself(faked, tmp_path):
    _save(spec(name="web", publish=(Forward.parse("8080:80"),)), faked, tmp_path / "s")

    async def scenario():
        async with clones(tmp_path / "s", 3, tmp_path, faked) as made:
            assert [vm.spec.name for vm in made] == ["web-1", "web-2", "web-3"]
            assert {vm.spec.mac for vm in made} == {made[0].spec.mac}
            assert all(vm.spec.publish[0].host_port == 0 for vm in made)
            made[1].console.send("x")
            await made[1].console.expect("got x", timeout_s=60)
            assert "got x" not in str(made[0].console.transcript)

    asyncio.run(scenario())


def test_without_asyncio(faked, tmp_path):
    _save(spec(name="web"), faked, tmp_path / "s")
    with machine.clones(tmp_path / "s", 2, tmp_path, faked) as (one, two):
        assert [one.spec.name, two.spec.name] == ["web-1", "web-2"]
        two.console.send("x")
        two.console.expect("got x", timeout_s=60)
        assert "got x" not in one.console.transcript


def test_one_that_fails_ends_all(faked, tmp_path):
    saved = _save(spec(), faked, tmp_path / "s")
    (tmp_path / "s" / saved.memory.name).write_bytes(b"")

    async def scenario():
        async with clones(tmp_path / "s", 2, tmp_path, faked):
            pytest.fail("they run")

    with pytest.raises(SuspensionError):
        asyncio.run(scenario())


@pytest.mark.parametrize(
    ("count", "network", "fault"),
    [(0, Network.USER, UsageError), (2, Network.TAP, UnsupportedError)],
)
def test_what_cannot_be(faked, tmp_path, count, network, fault):
    interface = "tap0" if network is Network.TAP else ""
    _save(spec(network=network, interface=interface), faked, tmp_path / "s")

    async def scenario():
        async with clones(tmp_path / "s", count, tmp_path, faked):
            pytest.fail("they run")

    with pytest.raises(fault):
        asyncio.run(scenario())


@pytest.mark.guest
@needs_qemu
def test_real_ones_have_disks_of_their_own(counting_kernel, options, tmp_path):
    disk = Disk(path=tmp_path / "disk.img")
    disk.path.write_bytes(bytes(1 << 20))
    description = MachineSpec(
        kernel=counting_kernel, mem_mib=32, accel=Accelerator.TCG, disks=(disk,)
    )
    _save(description, options, tmp_path / "s", until="R\n")
    overlays = tmp_path / "overlays"
    overlays.mkdir()

    async def scenario():
        async with clones(tmp_path / "s", 10, overlays, options) as made:
            assert facts(made[0].spec.disks[0].path).format is DiskFormat.QCOW2
            assert len(list(overlays.iterdir())) == 10
            for vm in made:
                vm.console.send("x")
                await vm.console.expect("x1", timeout_s=60)

    asyncio.run(scenario())
    assert list(overlays.iterdir()) == []


@pytest.mark.skipif(not proc.has_tool("qemu-img"), reason="needs qemu-img")
def test_disks_of_a_suspended_machine_are_backed_by_themselves(faked, tmp_path):
    disk = Disk(path=tmp_path / "disk.img")
    disk.path.write_bytes(bytes(1 << 20))
    read_only = replace(disk, read_only=True)
    with machine.launch(spec(disks=(disk, read_only)), faked) as vm:
        saved = vm.suspend(tmp_path / "s")
    made = variant(tmp_path / "s", saved, "one", tmp_path)
    assert made.disks[1] == read_only
    assert made.disks[0].path == tmp_path / "one-disk0.qcow2"
    assert b"disk.img" in made.disks[0].path.read_bytes()
