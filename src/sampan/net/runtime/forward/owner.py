"""Which process has a port of this host: for errors that name it (Linux: proc(5)).

Sockets of other users' processes are known by their port, but whose they are only root can see.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sampan.net.services.forward import Protocol

_LISTENING, _UNCONNECTED = "0A", "07"  # states of /proc/net/tcp and /proc/net/udp
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
    wanted = {f"socket:[{inode}]" for inode in inodes}
    with suppress(OSError):
        processes = [each for each in proc.iterdir() if each.name.isdigit()]
        for process in processes[:_MAX_PROCESSES]:
            if _has(process / "fd", wanted):
                return Owner(int(process.name), _name(process))
    return None


def _has(folder: Path, wanted: set[str]) -> bool:
    with suppress(OSError):  # another user's, or gone by now
        for descriptor in folder.iterdir():
            with suppress(OSError):
                if str(descriptor.readlink()) in wanted:
                    return True
    return False


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip() or "?"
    except OSError:
        return "?"
