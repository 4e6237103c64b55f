"""The program of `sampan/format`: one partition with a filesystem on an empty disk.

    format [-force] [-label LABEL] [-type ext4] [-partition dos|gpt] [-verbose] [DEVICE]

Without DEVICE it takes the first empty disk. What is not empty is left as it is, unless `-force`
says otherwise, and so is everything when a filesystem has the label already: the second boot
changes nothing. The partition table is written last, so that a disk whose formatting was cut
short counts as empty.
"""

from __future__ import annotations

import fcntl
import os

from sampan.guest.agent import process
from sampan.guest.agent.fault import AgentError
from sampan.guest.tool import device, option, table
from sampan.guest.tool.device import Host

_KINDS = ("ext4",)
_REREAD = 0x125F  # BLKRRPART of <linux/fs.h>
_WAIT_S = 5.0
_MAX_LABEL_BYTES = 16  # of ext4


def main(words: list[str], host: Host | None = None) -> int:
    """Do what the command line asks; the exit status."""
    host = host or Host()
    defaults = {"label": "", "type": "ext4", "partition": "dos"}
    given, flags, rest = option.parse(words, defaults, ("force", "verbose"))
    if given["type"] not in _KINDS:
        raise AgentError(f"cannot make filesystems of type {given['type']}: say ext4")
    if given["partition"] not in ("dos", "gpt"):
        raise AgentError(f"there is no partition table {given['partition']}: say dos or gpt")
    if len(given["label"].encode()) > _MAX_LABEL_BYTES:
        raise AgentError(f"the label {given['label']} has more than {_MAX_LABEL_BYTES} bytes")
    if len(rest) > 1:
        raise AgentError("say one device, or none")
    force = "force" in flags
    if given["label"] and not force and _has_label(host, given["label"]):
        print(f"format: there is a filesystem {given['label']}, nothing to do")
        return 0
    disk = _choose(host, rest, force=force)
    if disk is not None:
        _format(host, disk, given["label"], gpt=given["partition"] == "gpt")
    return 0


def _has_label(host: Host, label: str) -> bool:
    return any(volume.label == label for _, volume in host.volumes())


def _choose(host: Host, rest: list[str], *, force: bool) -> str | None:
    """The disk to format; None if there is nothing to do."""
    disks = host.disks()
    if not disks:
        raise AgentError("this machine has no disk")
    if not rest:
        empty = [disk for disk in disks if table.fits(host.sectors(disk)) and _is_empty(host, disk)]
        if not empty:
            print(f"format: none of {', '.join(disks)} is empty, nothing to do")
        return empty[0] if empty else None
    name = rest[0].rpartition("/")[2]
    if name not in disks:
        raise AgentError(f"{rest[0]} is no disk of this machine, which has {', '.join(disks)}")
    if not table.fits(host.sectors(name)):
        raise AgentError(f"the disk {name} is too small")
    if not force and not _is_empty(host, name):
        print(f"format: {name} is not empty, nothing to do (-force would format it)")
        return None
    return name


def _is_empty(host: Host, disk: str) -> bool:
    return not host.partitions(disk) and device.is_empty(host.path(disk))


def _format(host: Host, disk: str, label: str, *, gpt: bool) -> None:
    if host.sector_bytes(disk) != table.SECTOR_BYTES:
        raise AgentError(f"the sectors of {disk} have not {table.SECTOR_BYTES} bytes")
    sectors = host.sectors(disk)
    if gpt:
        layout = table.gpt(sectors, os.urandom(16), os.urandom(16))
    else:
        layout = table.dos(sectors, os.urandom(4))
    path = host.path(disk)
    _wipe(path)
    _make_filesystem(path, layout, label)
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        for offset, content in layout.pieces:
            os.pwrite(descriptor, content, offset)
            os.fsync(descriptor)
        _tell_kernel(descriptor)
    finally:
        os.close(descriptor)
    device.await_one(lambda: next(iter(host.partitions(disk)), None), _WAIT_S)
    print(f"format: {disk} has a partition with ext4" + (f", called {label}" if label else ""))


def _wipe(path: str) -> None:
    """Take away an old partition table: until all is done the disk has none."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.pwrite(descriptor, bytes(table.START * table.SECTOR_BYTES), 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_filesystem(path: str, layout: table.Layout, label: str) -> None:
    program = process.find("mkfs.ext4")
    if program is None:
        raise AgentError("mkfs.ext4 is not there")
    offset = layout.start * table.SECTOR_BYTES
    words = [program, "-q", "-F", "-E", f"offset={offset}"]
    words += ["-L", label] if label else []
    # in KiB, because the size of a block is mkfs' own choice
    status, said = process.run([*words, path, f"{layout.sectors * table.SECTOR_BYTES >> 10}k"])
    if status:
        raise AgentError(f"mkfs.ext4 {process.explain(status)}: {said}")


def _tell_kernel(descriptor: int) -> None:
    try:
        fcntl.ioctl(descriptor, _REREAD)
    except OSError as error:
        raise AgentError(f"the kernel does not take the new table: {error.strerror}") from error
