"""Machines that could not start; more of this is in test_lifecycle.py, through `VM.launch`."""

from pathlib import Path

import pytest

from sampan.errors import UnsupportedError, UsageError
from sampan.machine import admission
from sampan.machine.device import Disk, DiskFormat
from sampan.machine.drivers.fake import FakeDriver
from sampan.machine.error import MachineError
from sampan.machine.model import Network
from sampan.machine.testing import spec


@pytest.mark.parametrize(
    ("fields", "link", "fault", "message"),
    [
        ({"cpus": 0}, {}, UsageError, "0 cpus"),
        ({"network": Network.STREAM}, {}, UsageError, "needs a descriptor"),
        ({"network": Network.VHOST_USER}, {}, UsageError, "needs a path"),
        ({}, {"link_fd": 3}, UsageError, "needs no descriptor"),
        ({}, {"link_path": Path("/x")}, UsageError, "needs no path"),
        ({"kernel": Path("/none")}, {}, MachineError, "/none: no such file"),
        ({"disks": (Disk(path=Path("/disk")),)}, {}, MachineError, "/disk: no such file"),
    ],
)
def test_what_cannot_start(fields, link, fault, message):
    with pytest.raises(fault, match=message):
        admission.check(
            FakeDriver(), spec(**fields), **{"link_fd": None, "link_path": None, **link}
        )


def test_what_the_driver_cannot_do():
    with pytest.raises(UnsupportedError, match="agent"):
        admission.check(
            FakeDriver(capabilities=frozenset()), spec(agent=True), link_fd=None, link_path=None
        )


def test_what_can():
    admission.check(FakeDriver(), spec(), link_fd=None, link_path=None)


def test_how_a_disk_is_made():
    wanted = spec(disks=(Disk(path=Path("/a disk"), format=DiskFormat.QCOW2),))
    with pytest.raises(MachineError) as caught:
        admission.check(FakeDriver(), wanted, link_fd=None, link_path=None)
    assert caught.value.hint == "to make that disk: qemu-img create -f qcow2 '/a disk' 1G"
