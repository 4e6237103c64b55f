"""Which process has a port of this host: for errors that name it (Linux: proc(5)).

Sockets of other users' processes are known by their port, but whose they are only root can see.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sampan.net.services.forward import Protocol

_LISTENING, _UNCONNECTED, _ESTABLISHED = "0A", "07", "01"  # of /proc/net/tcp and /proc/net/udp
_MAPPED = struct.pack("=3I", 0, 0, int.from_bytes(b"\0\0\xff\xff", "big")).hex().upper()
_MAX_PROCESSES = 100_000


@dataclass(frozen=True, slots=True)
class Owner:
    """A process. `name` is its program's."""

    pid: int
    name: str

    def __str__(self) -> str:
        return f"{self.name} (process {self.pid})"


def of_port(protocol: Protocol, port: int, proc: Path = Path("/proc")) -> Owner | None:
    """Who listens on `port`, at whatever address; None if that cannot be found out."""
    inodes: set[str] = set()
    for version in ("", "6"):
        with suppress(OSError):
            text = (proc / "net" / f"{protocol}{version}").read_text()
            inodes |= _inodes(text, protocol, port)
    return _holder(inodes, proc) if inodes else None


def of_unix_socket(path: str, proc: Path = Path("/proc")) -> Owner | None:
    """Who listens at `path`; None if that cannot be found out."""
    try:
        rows = (proc / "net" / "unix").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return None
    fields = (row.split(maxsplit=7) for row in rows[1:])
    inodes = {each[6] for each in fields if len(each) == 8 and each[7] == path}
    return _holder(inodes, proc) if inodes else None


def of_clients(ends: Iterable[str], proc: Path = Path("/proc")) -> dict[str, Owner]:
    """Which processes of this host have connections from these ends (`ADDRESS:PORT`, IPv6 in []).

    Only those that can be found out, and only where the other end is on this host as well.
    """
    wanted = {_kernels(end): end for end in ends}
    rows = [row for version in ("", "6") for row in _connections(proc / "net" / f"tcp{version}")]
    there = {(remote, local) for local, remote, _ in rows if remote in wanted}
    found = {inode: wanted[local] for local, remote, inode in rows if (local, remote) in there}
    return _holders(found, proc)


def process(pid: int, proc: Path = Path("/proc")) -> Owner:
    """The process of that number."""
    return Owner(pid, _name(proc / str(pid)))


def _connections(path: Path) -> list[tuple[str, str, str]]:
    """Local and remote end as the kernel writes them (IPv4 in IPv6 as IPv4), and the inode."""
    with suppress(OSError):
        rows = (row.split() for row in path.read_text().splitlines()[1:])
        return [
            (_unmapped(row[1]), _unmapped(row[2]), row[9])
            for row in rows
            if len(row) >= 10 and row[3] == _ESTABLISHED
        ]
    return []


def _kernels(end: str) -> str:
    """An end as /proc/net/tcp writes it: words of 32 bits in the host's order, in hex."""
    host, _, port = end.rpartition(":")
    packed = ipaddress.ip_address(host.strip("[]").partition("%")[0]).packed
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return _unmapped("".join(f"{word:08X}" for word in words) + f":{int(port):04X}")


def _unmapped(end: str) -> str:
    return end.removeprefix(_MAPPED)


def _holders(wanted: dict[str, str], proc: Path) -> dict[str, Owner]:
    """For each inode of `wanted` that a process has: what it stands for, and the process."""
    found: dict[str, Owner] = {}
    links = {f"socket:[{inode}]": end for inode, end in wanted.items()}
    with suppress(OSError):
        processes = [each for each in proc.iterdir() if each.name.isdigit()]
        for each in processes[:_MAX_PROCESSES]:
            for link in _links(each / "fd") & links.keys():
                found[links[link]] = Owner(int(each.name), _name(each))
            if len(found) == len(set(links.values())):
                break
    return found


def _links(folder: Path) -> set[str]:
    """What a process's descriptors are; empty if it is another user's, or gone by now."""
    found = set()
    with suppress(OSError):
        for descriptor in folder.iterdir():
            with suppress(OSError):
                found.add(str(descriptor.readlink()))
    return found


def _inodes(text: str, protocol: Protocol, port: int) -> set[str]:
    state = _LISTENING if protocol is Protocol.TCP else _UNCONNECTED
    found = set()
    for row in text.splitlines()[1:]:
        fields = row.split()
        if len(fields) < 10 or fields[3] != state:
            continue
        if fields[1].rpartition(":")[2] == f"{port:04X}":
            found.add(fields[9])
    return found


def _holder(inodes: set[str], proc: Path) -> Owner | None:
    return next(iter(_holders(dict.fromkeys(inodes, ""), proc).values()), None)


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip() or "?"
    except OSError:
        return "?"
