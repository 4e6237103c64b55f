"""The disks of this machine, their partitions, and what is on them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from sampan.guest.tool import superblock
from sampan.guest.tool.superblock import Volume

SECTOR_BYTES = 512
_NO_DISKS = ("loop", "ram", "zram", "sr", "fd", "dm-", "md", "nbd", "mtd")
_HEAD_BYTES = 1 << 20
_TAIL_BYTES = 64 << 10
_POLL_S = 0.1


class Host:
    """Where devices are looked for: the kernel's folders, or a test's."""

    def __init__(self, sys: str = "/sys", dev: str = "/dev") -> None:
        self._block = f"{sys}/block"
        self._scsi = f"{sys}/class/scsi_host"
        self._dev = dev

    def path(self, name: str) -> str:
        """The device file of `name` (`vda`, `vda1`)."""
        return f"{self._dev}/{name}"

    def disks(self) -> list[str]:
        """The names of all disks, in order: vda, vdb … vdaa."""
        names = [name for name in _list(self._block) if not name.startswith(_NO_DISKS)]
        return sorted((name for name in names if self.sectors(name)), key=_order)

    def discs(self) -> list[str]:
        """The names of all CD drives, in order."""
        names = [name for name in _list(self._block) if name.startswith("sr")]
        return sorted(names, key=_order)

    def partitions(self, disk: str) -> list[str]:
        """The names of the partitions of a disk, in order."""
        folder = f"{self._block}/{disk}"
        names = [name for name in _list(folder) if os.path.exists(f"{folder}/{name}/partition")]
        return sorted(names, key=_order)

    def sectors(self, disk: str) -> int:
        """The size of a disk in sectors of 512 bytes."""
        try:
            with open(f"{self._block}/{disk}/size", encoding="ascii") as stream:
                return int(stream.read())
        except (OSError, ValueError):
            return 0

    def sector_bytes(self, disk: str) -> int:
        """What a disk itself calls a sector."""
        try:
            with open(f"{self._block}/{disk}/queue/logical_block_size", encoding="ascii") as stream:
                return int(stream.read())
        except (OSError, ValueError):
            return SECTOR_BYTES

    def volumes(self) -> list[tuple[str, Volume]]:
        """The device files that have a filesystem, with it: of partitions, disks and discs."""
        found = []
        for disk in self.disks():
            names = self.partitions(disk) or [disk]
            found += [(name, superblock.probe(self.path(name))) for name in names]
        found += [(name, superblock.probe(self.path(name))) for name in self.discs()]
        return [(self.path(name), volume) for name, volume in found if volume is not None]

    def scsi(self) -> bool:
        """Whether there are SCSI controllers, whose devices appear a little later."""
        return bool(_list(self._scsi))


def is_empty(path: str) -> bool:
    """Whether there is nothing at the beginning and the end of a device.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb", buffering=0) as stream:
        if any(stream.read(_HEAD_BYTES)):
            return False
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - _TAIL_BYTES))
        return not any(stream.read(_TAIL_BYTES))


def await_one(look: Callable[[], str | None], timeout_s: float) -> str | None:
    """What `look` finds, as soon as it finds something; None after `timeout_s` seconds."""
    for _ in range(int(timeout_s / _POLL_S)):
        if (found := look()) is not None:
            return found
        time.sleep(_POLL_S)
    return look()


def _list(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _order(name: str) -> tuple[str, int, str, int]:
    """By kind, then as the kernel counts: vdz before vdaa, sda2 before sda10."""
    letters = name.rstrip("0123456789")
    number = name[len(letters) :]
    return (letters[:2], len(letters), letters, int(number or 0))
