from pathlib import Path

from sampan.machine.device import Disk, DiskFormat
from sampan.machine.drivers import qemu_disk
from sampan.machine.model import MachineSpec


def words(**fields):
    return qemu_disk.words(MachineSpec(kernel=Path("kernel"), **fields))


def test_nothing_for_no_disks():
    assert words() == ()


def test_disks_in_order():
    one = Disk(path=Path("/a,b.img"))
    two = Disk(path=Path("/two.img"), format=DiskFormat.QCOW2, read_only=True)
    assert words(disks=(one, two)) == (
        "-blockdev", "driver=file,node-name=disk0-file,filename=/a,,b.img,discard=unmap",
        "-blockdev", "driver=raw,node-name=disk0,file=disk0-file,discard=unmap",
        "-device", "virtio-blk-pci,drive=disk0",
        "-blockdev",
        "driver=file,node-name=disk1-file,filename=/two.img,discard=unmap,read-only=on",
        "-blockdev", "driver=qcow2,node-name=disk1,file=disk1-file,discard=unmap,read-only=on",
        "-device", "virtio-blk-pci,drive=disk1",
    )  # fmt: skip


def test_discs_share_a_controller():
    found = words(discs=(Path("/a.iso"), Path("/b.iso")))
    assert found == (
        "-device", "virtio-scsi-pci,id=scsi0",
        "-blockdev", "driver=file,node-name=disc0,filename=/a.iso,read-only=on",
        "-device", "scsi-cd,bus=scsi0.0,drive=disc0",
        "-blockdev", "driver=file,node-name=disc1,filename=/b.iso,read-only=on",
        "-device", "scsi-cd,bus=scsi0.0,drive=disc1",
    )  # fmt: skip


def test_a_locked_disk_is_recognised():
    said = (
        '-device virtio-blk-pci,drive=disk0: Failed to get "write" lock\n'
        "Is another process using the image [/tmp/a disk.img]?"
    )
    assert qemu_disk.locked_path(said) == "/tmp/a disk.img"
    assert qemu_disk.locked_path("could not open '/tmp/x': Permission denied") is None
