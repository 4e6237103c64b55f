"""The program of `sampan/mount`: mount a filesystem of a disk, chosen by name, label or UUID.

    mount [-device DEVICE | -label LABEL | -uuid UUID] [DEVICE] MOUNTPOINT

Without any of those it takes the first disk's first filesystem. Before, it makes the links of
/dev/disk/by-uuid and /dev/disk/by-label.
"""

from __future__ import annotations

import os

from sampan.guest.agent import kernel
from sampan.guest.agent.fault import AgentError
from sampan.guest.agent.mount import Call
from sampan.guest.tool import device, option, superblock
from sampan.guest.tool.device import Host
from sampan.guest.tool.superblock import Volume

_WAIT_S = 5.0
_READ_ONLY = 0x1


def main(words: list[str], host: Host | None = None) -> int:
    """Do what the command line asks; the exit status."""
    host = host or Host()
    given, _, rest = option.parse(words, {"device": "", "label": "", "uuid": ""})
    if len(rest) == 2 and not given["device"]:
        given["device"] = rest.pop(0)
    wanted = {name: value for name, value in given.items() if value}
    if len(rest) != 1 or len(wanted) > 1:
        raise AgentError("usage: [-device DEVICE | -label LABEL | -uuid UUID] MOUNTPOINT")
    target = rest[0]
    path = device.await_one(lambda: find(host, wanted), _WAIT_S)
    link_all(host)
    if path is None:
        raise AgentError(_missing(wanted))
    volume = superblock.probe(path)
    if volume is None:
        raise AgentError(f"there is no filesystem on {path} (sampan/format makes one)")
    _mount(path, target, volume)
    print(f"mount: {path} ({volume.kind}) is at {target}")
    return 0


def find(host: Host, wanted: dict[str, str]) -> str | None:
    """The device file with what is wanted; None if there is none, or not yet."""
    if "device" in wanted:
        name = wanted["device"]
        path = name if name.startswith("/") else host.path(name)
        return path if os.path.exists(path) else None
    for path, volume in host.volumes():
        by_label = wanted.get("label") == volume.label and volume.label != ""
        by_uuid = wanted.get("uuid", "").lower() == volume.uuid.lower() and volume.uuid != ""
        first = not wanted and volume.kind != "iso9660"
        if by_label or by_uuid or first:
            return path
    return None


def link_all(host: Host) -> None:
    """Make the links that name filesystems by UUID and label."""
    for path, volume in host.volumes():
        for folder, name in (("by-uuid", volume.uuid), ("by-label", volume.label)):
            if name and "/" not in name and name not in (".", ".."):
                _link(host.path(f"disk/{folder}"), name, path)


def _link(folder: str, name: str, path: str) -> None:
    os.makedirs(folder, exist_ok=True)
    target = os.path.relpath(path, folder)
    try:
        os.symlink(target, f"{folder}/{name}")
    except FileExistsError:
        return  # by an earlier run; or two have that name, and the first one keeps it


def _mount(path: str, target: str, volume: Volume) -> None:
    flags = _READ_ONLY if volume.kind == "iso9660" else 0
    try:
        os.makedirs(target, exist_ok=True)
        kernel.mount(Call(path, target, volume.kind, flags, ""))
    except OSError as error:
        raise AgentError(f"cannot mount {path} at {target}: {error.strerror}") from error


def _missing(wanted: dict[str, str]) -> str:
    for name, value in wanted.items():
        return f"no disk has a filesystem with the {name} {value}"
    return "no disk has a filesystem (sampan/format makes one)"
