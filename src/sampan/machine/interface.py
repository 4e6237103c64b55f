"""The host's TAP device or bridge that a machine is to be connected to: whether that can be.

The hypervisor would say no as well, later and in words about its own workings; run by root it
would make an unknown TAP device, which nobody else is connected to. This looks at what the kernel
tells in sysfs, and at the list of bridges that QEMU's setuid helper allows, and starts nothing.

Where there is no sysfs (macOS), where it is that of another network namespace, or the list may not
be read, the hypervisor has the last word.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sampan.machine.error import MachineError
from sampan.machine.model import MachineSpec, Network

SYSFS = Path("/sys/class/net")
STATUS = Path("/proc/self/status")
LISTS = tuple(map(Path, ("/etc/qemu", "/etc/qemu-kvm", "/usr/local/etc/qemu")))
_LIST = "bridge.conf"
_TAP = 0x2  # IFF_TAP, of `tun_flags`
_NOBODY = -1  # as owner or group: everybody
_NET_ADMIN = 12  # CAP_NET_ADMIN, capabilities(7)
_MAX_INCLUDES = 16


def check(
    spec: MachineSpec,
    *,
    sysfs: Path = SYSFS,
    status: Path = STATUS,
    lists: Sequence[Path] = LISTS,
    index: Callable[[str], int] = socket.if_nametoindex,
) -> None:
    """Refuse a device that is not there, is something else, or may not be used.

    Raises:
        MachineError: that is so; the hint says what to do.
    """
    name, kind = spec.interface, spec.network
    if kind not in (Network.TAP, Network.BRIDGE) or not sysfs.is_dir():
        return
    try:
        found = index(name)
    except (OSError, ValueError):  # there is none, or it is a name that none can have
        is_tap = kind is Network.TAP
        raise MachineError(
            f"there is no {'network device' if is_tap else 'bridge'} {name}",
            hint=f"to make one: {_making(name) if is_tap else _making_bridge(name)}",
        ) from None
    device = sysfs / name
    is_told = _number(device / "ifindex", 10, 0) == found
    if kind is Network.TAP:
        if is_told:
            _check_tap(device, name, status)
        return
    if is_told:
        _check_bridge(device, name)
    _check_list(name, lists)


def _making(name: str) -> str:
    return f"sudo ip tuntap add {name} mode tap user $USER && sudo ip link set {name} up"


def _making_bridge(name: str) -> str:
    return f"sudo ip link add {name} type bridge && sudo ip link set {name} up"


def _check_tap(device: Path, name: str, status: Path) -> None:
    if not _number(device / "tun_flags", 16, 0) & _TAP:
        raise MachineError(
            f"the network device {name} is no TAP device",
            hint=f"name another one, or put a TAP device and {name} on a bridge",
        )
    owner, group = (_number(device / each, 10, _NOBODY) for each in ("owner", "group"))
    strange = owner not in (_NOBODY, os.geteuid())
    strange |= group not in (_NOBODY, os.getegid(), *os.getgroups())
    if strange and not _administers(status):
        raise MachineError(
            f"the TAP device {name} is another user's",
            hint=f"to make one that is yours, under another name: {_making('lab0')}",
        )


def _check_bridge(device: Path, name: str) -> None:
    if not (device / "bridge").is_dir():
        raise MachineError(
            f"the network device {name} is no bridge",
            hint=f"name a bridge; {name} can be put on one: sudo ip link set {name} master BRIDGE",
        )


def _check_list(name: str, folders: Sequence[Path]) -> None:
    """Whether QEMU's helper would connect to the bridge, by any of its lists."""
    lists = [folder / _LIST for folder in folders]
    try:
        if any(_allows(_rules(each), name) for each in lists):
            return
    except OSError:  # it is root's to read: the helper reads it as root
        return
    found = next((each for each in lists if each.exists()), lists[0])
    raise MachineError(
        f"QEMU may not connect machines to the bridge {name}: {found} does not allow it",
        hint=f"say it there: echo allow {name} | sudo tee -a {found}",
    )


def _allows(rules: Iterator[tuple[str, str]], name: str) -> bool:
    """What is denied once stays so, whatever else is said (qemu-bridge-helper.c)."""
    said = {rule for rule, what in rules if what in ("all", name)}
    return said == {"allow"}


def _rules(path: Path, includes: int = _MAX_INCLUDES) -> Iterator[tuple[str, str]]:
    """The lines `allow NAME` and `deny NAME` of a list, and of those that it includes.

    Raises:
        OSError: it is there and cannot be read.
    """
    try:
        text = path.read_text("utf-8", "replace")
    except FileNotFoundError:
        return
    for line in text.splitlines():
        rule, _, what = line.partition("#")[0].strip().partition(" ")
        if rule == "include" and includes:
            yield from _rules(Path(what.strip()), includes - 1)
        elif rule in ("allow", "deny"):
            yield rule, what.strip()


def _number(path: Path, base: int, otherwise: int) -> int:
    try:
        return int(path.read_text("ascii"), base)
    except (OSError, ValueError):
        return otherwise


def _administers(status: Path) -> bool:
    """Whether this process may do what it likes with network devices."""
    try:
        lines = status.read_text("ascii", "replace").splitlines()
    except OSError:
        return os.geteuid() == 0
    [mask, *_] = [line.split()[1] for line in lines if line.startswith("CapEff:")] or ["0"]
    return bool(int(mask, 16) >> _NET_ADMIN & 1)
