"""What bench/net.py compares: programs that turn a namespace's Ethernet into sockets outside.

All of them run in the namespace `outside`, own a TAP named tap0 in the namespace `inside`, and
reach the servers of `outside` through an address that stands for the host.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from net_place import Place

from sampan.base import proc

_TUNSETIFF = 0x400454CA
_IFF_TAP_NO_PI_VNET = 0x0002 | 0x1000 | 0x4000


@dataclass(frozen=True)
class Contender:
    """One program: `start` gives the child that serves the namespace at an MTU."""

    name: str
    host: str
    mtus: tuple[int, ...]
    start: Callable[[Place, int], proc.Child | None]
    version: tuple[str, ...] = ()


def _configure(place: Place, address: str, gateway: str, mtu: int) -> None:
    place.ip(place.inside, f"addr add {address}/24 dev tap0")
    place.ip(place.inside, f"link set tap0 mtu {mtu} up")
    place.ip(place.inside, f"route add default via {gateway}")


def _sampan(place: Place, mtu: int) -> proc.Child:
    argv: list[str | Path] = [
        sys.executable, "-m", "sampan", "net", "attach", "--netns", f"/run/netns/{place.inside}",
        "--mtu", str(mtu), "--tap-name", "tap0",
    ]  # fmt: skip
    return place.start(place.outside, argv)


def _slirp4netns(place: Place, mtu: int) -> proc.Child:
    argv = [
        "slirp4netns", "--configure", "--netns-type=path", f"--mtu={mtu}",
        f"/run/netns/{place.inside}", "tap0",
    ]  # fmt: skip
    return place.start(place.outside, argv)


def _pasta(program: str) -> Callable[[Place, int], proc.Child]:
    def start(place: Place, mtu: int) -> proc.Child:
        argv = [
            program, "--foreground", "--quiet", "--config-net", "--ipv4-only", "--ns-ifname",
            "tap0", "--mtu", str(mtu), "--runas", "0", "-t", "none", "-u", "none", "-T", "none",
            "-U", "none", "--netns", f"/run/netns/{place.inside}",
        ]  # fmt: skip
        return place.start(place.outside, argv)

    return start


def _qemu(place: Place, mtu: int) -> proc.Child:
    """QEMU's user networking, joined to the TAP by QEMU's hub: no guest slows it down."""

    def open_tap() -> int:
        tap = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH22x", b"tap0", _IFF_TAP_NO_PI_VNET))
        return tap

    tap = place.within(place.inside, open_tap)
    argv = [
        "qemu-system-x86_64", "-machine", "none", "-nodefaults", "-display", "none",
        "-netdev", "user,id=u", "-netdev", "hubport,hubid=0,netdev=u,id=a",
        "-netdev", f"tap,id=t,fd={tap}", "-netdev", "hubport,hubid=0,netdev=t,id=b",
    ]  # fmt: skip
    try:
        child = place.start(place.outside, argv, tap=tap)
    finally:
        os.close(tap)
    _configure(place, "10.0.2.15", "10.0.2.2", mtu)
    return child


def _veth(place: Place, mtu: int) -> None:
    """No program: the kernel alone, which is the limit."""
    place.ip(place.outside, f"link add bench0 type veth peer name tap0 netns {place.inside}")
    place.ip(place.outside, f"link set bench0 mtu {mtu} up")
    place.ip(place.outside, "addr add 10.9.1.1/24 dev bench0")
    _configure(place, "10.9.1.2", "10.9.1.1", mtu)


def contenders(pasta: str = "pasta") -> tuple[Contender, ...]:
    """All of them, Sampan first. libslirp in QEMU has a fixed MTU of 1500."""
    both = (1500, 65520)
    return (
        Contender("sampan", "192.168.65.254", both, _sampan),
        Contender("slirp4netns", "10.0.2.2", both, _slirp4netns, ("slirp4netns", "--version")),
        Contender("pasta", "192.0.2.1", both, _pasta(pasta), (pasta, "--version")),
        Contender("qemu", "10.0.2.2", (1500,), _qemu, ("qemu-system-x86_64", "--version")),
        Contender("veth", "10.9.1.1", both, _veth),
    )
