"""What can be saved, where disks go, and starting from a folder."""

import asyncio

import pytest

from sampan import machine
from sampan.errors import UnsupportedError
from sampan.machine.console import Console
from sampan.machine.device import Disk, Share
from sampan.machine.driver import Capability, Launch
from sampan.machine.drivers.fake import FakeDriver, Say, Script
from sampan.machine.error import MachineError
from sampan.machine.model import Accelerator
from sampan.machine.saving import resumption, suspension
from sampan.machine.saving.suspension import SuspensionError
from sampan.machine.state import Folder
from sampan.machine.testing import spec


def _launch(console):
    return Launch(accel=Accelerator.TCG, folder=Folder(console), console=Console(), deadline_s=1)


async def _saved(folder, description, *, copy_disks):
    driver = FakeDriver(Script(steps=(Say("one"),)))
    subject = resumption.Subject(
        spec=description, driver=driver, accel=Accelerator.TCG, forwards=(),
        hypervisor=await driver.start(description, _launch(folder)),
    )  # fmt: skip
    saved = await resumption.save(subject, folder, copy_disks=copy_disks)
    await subject.hypervisor.kill()
    return saved


def test_what_a_driver_cannot_do():
    without = FakeDriver(capabilities=frozenset())
    with pytest.raises(UnsupportedError, match="fake cannot do suspend"):
        resumption.check(without, spec(), Capability.SUSPEND)


def test_shares_cannot_be_saved(tmp_path):
    shared = spec(shares=(Share(source=tmp_path, tag="a"),))
    with pytest.raises(UnsupportedError, match="shared folders"):
        resumption.check(FakeDriver(), shared, Capability.SNAPSHOT)


def test_disks_of_a_snapshot_are_copied(tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(b"before")
    description = spec(disks=(Disk(path=path), Disk(path=path, read_only=True)))
    saved = asyncio.run(_saved(tmp_path / "s", description, copy_disks=True))
    assert (tmp_path / "s" / saved.disks[0].copy).read_bytes() == b"before"
    assert not saved.disks[1].copy
    saved = asyncio.run(_saved(tmp_path / "s", description, copy_disks=False))
    assert not any(each.copy for each in saved.disks)


@pytest.mark.parametrize("puts_disks_back", [True, False])
@pytest.mark.parametrize("failure", ["", "no"])
def test_disks_are_put_back_if_the_process_starts(tmp_path, puts_disks_back, failure):
    path = tmp_path / "disk.img"
    path.write_bytes(b"before")
    description = spec(disks=(Disk(path=path),))

    async def scenario():
        saved = await _saved(tmp_path / "s", description, copy_disks=True)
        path.write_bytes(b"after")
        origin = resumption.Origin(tmp_path / "s", saved, puts_disks_back=puts_disks_back)
        driver = FakeDriver(Script(start_failure=failure))
        gone_on = await resumption.begin(driver, description, _launch(tmp_path), origin)
        await gone_on.kill()

    if failure:
        with pytest.raises(MachineError, match="did not start"):
            asyncio.run(scenario())
    else:
        asyncio.run(scenario())
    expected = b"before" if puts_disks_back and not failure else b"after"
    assert path.read_bytes() == expected


def test_paths_are_written_down_as_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kernel").write_text("")
    relative = machine.MachineSpec(kernel=(tmp_path / "kernel").relative_to(tmp_path))
    assert resumption.absolute(relative).kernel == tmp_path / "kernel"
    assert resumption.absolute(relative).initrd is None


def test_a_process_goes_on_where_another_was(tmp_path):
    async def scenario():
        saved = await _saved(tmp_path, spec(), copy_disks=False)
        driver = FakeDriver(Script(steps=(Say("one"), Say("two"))))
        launch = _launch(tmp_path)
        gone_on = await resumption.start(driver, spec(), launch, tmp_path, saved)
        await gone_on.run()
        await launch.console.expect("two", timeout_s=60)
        await gone_on.kill()

    asyncio.run(scenario())


def test_a_damaged_state_ends_the_process(tmp_path):
    driver = FakeDriver()

    async def scenario():
        saved = await _saved(tmp_path, spec(), copy_disks=False)
        path = tmp_path / saved.memory.name
        path.write_bytes(bytes(path.stat().st_size))
        with pytest.raises(SuspensionError, match="not what was written"):
            await resumption.start(driver, spec(), _launch(tmp_path), tmp_path, saved)
        [started] = driver.machines
        return await started.wait()

    assert asyncio.run(scenario()).ending is machine.Ending.FORCED


def test_a_process_that_does_not_start(tmp_path):
    async def scenario():
        saved = await _saved(tmp_path, spec(), copy_disks=False)
        driver = FakeDriver(Script(start_failure="no"))
        with pytest.raises(MachineError, match="did not start"):
            await resumption.start(driver, spec(), _launch(tmp_path), tmp_path, saved)

    asyncio.run(scenario())
    assert suspension.is_saved(tmp_path)
