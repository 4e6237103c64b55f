"""The files that HyperKit's users look for in a machine's state folder.

    hyperkit.json   what the machine is, in the keys of HyperKit's Go bindings
    hyperkit.pid    its process, written by HyperKit
    tty             the path of its console, in a file (`screen $(cat tty)`)
    console-ring    the last 64 KiB of its console, written by HyperKit

What the bindings got wrong is not repeated: a pid in a file is nobody's proof of anything.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from sampan.base import fs
from sampan.machine.drivers import hyperkit_argv
from sampan.machine.model import MachineSpec, Network

DOCUMENT, PID, TTY, RING = "hyperkit.json", "hyperkit.pid", "tty", "console-ring"
_STDIO = 0  # the bindings' constant for a console on stdin and stdout


class _Disk(msgspec.Struct, frozen=True):
    path: str
    size: int
    format: str


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of the bindings, in their order."""

    hyperkit: str
    argv0: str
    state_dir: str
    vpnkit_sock: str
    vpnkit_uuid: str
    vpnkit_preferred_ipv4: str
    uuid: str
    disks: tuple[_Disk, ...]
    iso: tuple[str, ...]
    vsock: bool
    vsock_dir: str
    vsock_ports: tuple[int, ...]
    vsock_guest_cid: int
    vmnet: bool
    sockets: tuple[str, ...] = msgspec.field(name="9p_sockets", default=())
    kernel: str
    initrd: str
    bootrom: str = ""
    cpus: int
    memory: int
    console: int = _STDIO
    serials: tuple[str, ...] = ()
    pid: int
    arguments: tuple[str, ...]
    cmdline: str


def document(
    spec: MachineSpec, wiring: hyperkit_argv.Wiring, argv: tuple[str, ...], pid: int
) -> bytes:
    """`hyperkit.json` of a machine that runs as process `pid`. Sizes are in MiB."""
    vsock, identity = spec.vsock, hyperkit_argv.uuid_of(spec.name)
    on_vpnkit = spec.network is Network.VPNKIT
    value = _Document(
        hyperkit=argv[0],
        argv0=argv[0],
        state_dir=wiring.state_folder,
        vpnkit_sock=wiring.link_path if on_vpnkit else "",
        vpnkit_uuid=identity if on_vpnkit else "",
        vpnkit_preferred_ipv4="",
        uuid=identity,
        disks=tuple(
            _Disk(str(each.path), _mib(each.path), each.format.value) for each in spec.disks
        ),
        iso=tuple(map(str, spec.discs)),
        vsock=vsock is not None,
        vsock_dir="" if vsock is None else wiring.vsock_folder,
        vsock_ports=() if vsock is None else vsock.ports,
        vsock_guest_cid=0 if vsock is None else vsock.cid,
        vmnet=spec.network is Network.USER,
        kernel=str(spec.kernel),
        initrd="" if spec.initrd is None else str(spec.initrd),
        cpus=spec.cpus,
        memory=spec.mem_mib,
        pid=pid,
        arguments=argv,
        cmdline=spec.cmdline,
    )
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def write(folder: Path, data: bytes, terminal: str) -> None:
    """Write `hyperkit.json` and `tty`."""
    fs.write_atomically(folder / DOCUMENT, data)
    fs.write_atomically(folder / TTY, f"{terminal}\n".encode())


def paths(folder: Path) -> list[Path]:
    """The files that a run leaves."""
    return [folder / name for name in (DOCUMENT, PID, TTY, RING)]


def _mib(path: Path) -> int:
    try:
        return path.stat().st_size >> 20
    except OSError:
        return 0
