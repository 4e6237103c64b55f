"""The command line of HyperKit for a machine: a pure function, printed by `--dry-run`.

Words and their order are those of HyperKit's Go bindings, so that whoever knows one knows the
other (HyperKit, hyperkit.1 and go/hyperkit.go). Devices get PCI slots from 1 on. Options are cut
at commas, and those of vsock at semicolons too; only the kernel's command line, which is last in
its option, may have them.
"""

from __future__ import annotations

import uuid

import msgspec

from sampan.errors import UnsupportedError
from sampan.machine.device import Disk, DiskFormat
from sampan.machine.model import Arch, MachineSpec, Network

PROGRAM = "hyperkit"
EARLY = "earlyprintk=serial"
MAX_FORWARDS = 4  # of vsock ports; the size of a table in HyperKit
_NAMES = uuid.UUID("6d0dbd6c-2a5b-5d39-8c21-3d4dd5e2c07a")  # a namespace of our own
_QCOW = "discard=false;compact_after_unmaps=0;keep_erased=0;runtime_asserts=false"


class Wiring(msgspec.Struct, frozen=True, kw_only=True):
    """Paths of one run: the state folder, the network's socket, the folder of vsock's."""

    state_folder: str
    link_path: str = ""
    vsock_folder: str = ""


def build(spec: MachineSpec, *, wiring: Wiring) -> tuple[str, ...]:
    """The words of the command line, program first. The console is on stdin and stdout.

    Raises:
        UnsupportedError: HyperKit cannot be told so, or cannot do it.
    """
    if spec.arch is not Arch.AMD64:
        raise UnsupportedError(
            f"{spec.arch} machines", PROGRAM, "it runs on Intel processors only",
            instead="use the driver vfkit or qemu",
        )  # fmt: skip
    state = _plain(wiring.state_folder, "a state folder")
    slots = [
        word
        for slot, device in enumerate(_devices(spec, wiring), start=1)
        for word in ("-s", f"{slot}{device}")
    ]
    identity = ("-U", uuid_of(spec.name)) if spec.network is Network.USER else ()
    return (
        PROGRAM, "-A", "-u",
        "-F", f"{state}/hyperkit.pid",
        "-c", str(spec.cpus),
        "-m", f"{spec.mem_mib}M",
        "-s", "0:0,hostbridge",
        "-s", "31,lpc",
        *identity,
        *slots,
        "-l", f"com1,stdio,log={state}/console-ring",
        "-f", _firmware(spec),
    )  # fmt: skip


def uuid_of(name: str) -> str:
    """What macOS' network and VPNKit know the machine `name` by: always the same."""
    return str(uuid.uuid5(_NAMES, name))


def _devices(spec: MachineSpec, wiring: Wiring) -> list[str]:
    """The devices in the order of their slots, each as what follows the slot's number."""
    devices = [*_network(spec, wiring), *(f":0,{_disk(disk)}" for disk in spec.disks)]
    if spec.vsock is not None:
        ports = spec.vsock.ports
        if len(ports) > MAX_FORWARDS:
            raise UnsupportedError(
                f"{len(ports)} vsock ports", PROGRAM, f"it forwards at most {MAX_FORWARDS}",
                instead="use the driver qemu",
            )  # fmt: skip
        forwards = ";".join(map(str, ports))
        folder = _plain(wiring.vsock_folder, "a folder for vsock", also=";")
        devices.append(
            f",virtio-sock,guest_cid={spec.vsock.cid},path={folder}"
            + (f",guest_forwards={forwards}" if forwards else "")
        )
    devices += [f",ahci-cd,{_plain(str(path), 'a disc')}" for path in spec.discs]
    return [*devices, ",virtio-rnd"]


def _network(spec: MachineSpec, wiring: Wiring) -> tuple[str, ...]:
    match spec.network:
        case Network.NONE:
            return ()
        case Network.USER:
            return (":0,virtio-net",)
        case Network.VPNKIT:
            path = _plain(wiring.link_path, "a network socket")
            return (f":0,virtio-vpnkit,path={path},uuid={uuid_of(spec.name)}",)
        case _:
            raise UnsupportedError(
                f"a network by {spec.network}", PROGRAM, "it has VPNKit's and macOS' own",
                instead="use the network vpnkit, user or none",
            )  # fmt: skip


def _disk(disk: Disk) -> str:
    path, access = _plain(str(disk.path), "a disk"), ",ro" if disk.read_only else ""
    if disk.format is DiskFormat.QCOW2:
        if not path.startswith("/") or "?" in path:  # it stands in a URI
            raise _unsaid("a qcow2 disk without a plain absolute path", path)
        return (
            f"virtio-blk,file://{path}?sync=os&buffered=1{access},format=qcow,qcow-config={_QCOW}"
        )
    return f"virtio-blk,{path}{access}"


def _firmware(spec: MachineSpec) -> str:
    kernel = _plain(str(spec.kernel), "a kernel")
    initrd = "" if spec.initrd is None else _plain(str(spec.initrd), "an initrd")
    return f"kexec,{kernel},{initrd},{EARLY} {spec.cmdline}".rstrip()


def _plain(text: str, what: str, *, also: str = "") -> str:
    if any(letter in text for letter in "," + also):
        raise _unsaid(
            f"{what} with a {'comma or semicolon' if also else 'comma'} in its name", text
        )
    return text


def _unsaid(feature: str, text: str) -> UnsupportedError:
    return UnsupportedError(
        f"{feature} ({text})", PROGRAM, "its options cannot hold one", instead="use another name"
    )
