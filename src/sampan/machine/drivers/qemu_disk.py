"""QEMU's words for disks and discs; pure.

Each disk is a node of the block layer, `disk0`, `disk1` …, on the node of its file; snapshots
and resizing know them by these names. What the guest discards (fstrim) becomes a hole in the
file. Discs are drives of a SCSI controller, because the kernels of clouds know no other kind.
"""

from __future__ import annotations

from pathlib import Path

from sampan.machine.device import Disk
from sampan.machine.model import MachineSpec


def node(index: int) -> str:
    """The node of disk `index` of a spec."""
    return f"disk{index}"


def words(spec: MachineSpec) -> tuple[str, ...]:
    """The words for all disks and discs of a machine."""
    disks = [word for index, disk in enumerate(spec.disks) for word in _disk(index, disk)]
    discs = [word for index, path in enumerate(spec.discs) for word in _disc(index, path)]
    controller = ("-device", "virtio-scsi-pci,id=scsi0") if discs else ()
    return (*disks, *controller, *discs)


def locked_path(said: str) -> str | None:
    """The disk that QEMU could not lock, if that is what it said; empty if it did not say which."""
    if "Failed to get" not in said or "lock" not in said:
        return None
    _, _, rest = said.partition("using the image [")
    return rest.partition("]")[0]


def _disk(index: int, disk: Disk) -> tuple[str, ...]:
    name = node(index)
    access = ",read-only=on" if disk.read_only else ""
    return (
        "-blockdev",
        f"driver=file,node-name={name}-file,filename={_path(disk.path)},discard=unmap{access}",
        "-blockdev",
        f"driver={disk.format},node-name={name},file={name}-file,discard=unmap{access}",
        "-device", f"virtio-blk-pci,drive={name}",
    )  # fmt: skip


def _disc(index: int, path: Path) -> tuple[str, ...]:
    name = f"disc{index}"
    return (
        "-blockdev",
        f"driver=file,node-name={name},filename={_path(path)},read-only=on",
        "-device", f"scsi-cd,bus=scsi0.0,drive={name}",
    )  # fmt: skip


def _path(path: Path) -> str:
    return str(path).replace(",", ",,")
