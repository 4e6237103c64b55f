"""The command line of vfkit for a machine: a pure function, printed by `--dry-run`.

vfkit runs machines by Apple's Virtualization.framework. Its grammar (vfkit, doc/usage.md, and
what its parser really does): the options of a device are cut at every comma, with no way to
write one; those of the boot loader are too, but for what stands between double quotes. So a
path with a comma cannot be said, and is refused here rather than misunderstood there.
"""

from __future__ import annotations

import msgspec

from sampan.errors import UnsupportedError
from sampan.machine.device import DiskFormat
from sampan.machine.drivers.qemu_argv import mac_address
from sampan.machine.model import MachineSpec, Network

PROGRAM = "vfkit"
CONSOLE = "console=hvc0"  # the only console there is
SOCKET_PATH_LIMIT = 103  # bytes; sun_path on macOS


class Wiring(msgspec.Struct, frozen=True, kw_only=True):
    """Paths that are made for one run: the control socket, the network's, those of vsock."""

    control_path: str
    link_path: str = ""
    vsock_folder: str = ""


def build(spec: MachineSpec, *, wiring: Wiring) -> tuple[str, ...]:
    """The words of the command line, program first. The console is on stdin and stdout.

    Raises:
        UnsupportedError: vfkit cannot be told so, or cannot do it.
    """
    return (
        PROGRAM,
        "--cpus", str(spec.cpus),
        "--memory", str(spec.mem_mib),
        "--bootloader", _boot_loader(spec),
        "--restful-uri", f"unix://{_socket(wiring.control_path, 'control')}",
        "--device", "virtio-rng",
        "--device", "virtio-serial,stdio",
        *_network(spec, wiring),
        *_storage(spec),
        *_shares(spec),
        *_vsock(spec, wiring),
    )  # fmt: skip


def vsock_socket(port: int) -> str:
    """The name of the Unix socket that leads to vsock `port` of the guest, as HyperKit has it."""
    return f"guest.{port:08x}"


def _boot_loader(spec: MachineSpec) -> str:
    words = spec.cmdline.split()
    cmdline = spec.cmdline if CONSOLE in words else f"{spec.cmdline} {CONSOLE}".strip()
    if '"' in cmdline:
        raise _unsaid("a kernel command line with a double quote", cmdline)
    initrd = "" if spec.initrd is None else f",initrd={_plain(str(spec.initrd), 'an initrd')}"
    return f'linux,kernel={_plain(str(spec.kernel), "a kernel")}{initrd},cmdline="{cmdline}"'


def _network(spec: MachineSpec, wiring: Wiring) -> tuple[str, ...]:
    match spec.network:
        case Network.NONE:
            return ()
        case Network.USER:
            link = "nat"
        case Network.DATAGRAM:
            link = f"unixSocketPath={_socket(wiring.link_path, 'network')}"
        case _:
            raise UnsupportedError(
                f"a network by {spec.network}", PROGRAM, "it has datagrams and macOS' own",
                instead="use the network datagram, user or none",
            )  # fmt: skip
    return ("--device", f"virtio-net,{link},mac={spec.mac or mac_address(spec.name)}")


def _storage(spec: MachineSpec) -> tuple[str, ...]:
    words: list[str] = []
    for disk in spec.disks:
        if disk.format is not DiskFormat.RAW:
            raise UnsupportedError(
                f"a {disk.format} disk", PROGRAM, "Virtualization.framework reads raw ones only",
                instead=f"convert it: qemu-img convert -O raw {disk.path} …",
            )  # fmt: skip
        access = ",readonly" if disk.read_only else ""
        words += ["--device", f"virtio-blk,path={_plain(str(disk.path), 'a disk')}{access}"]
    for disc in spec.discs:
        words += ["--device", f"usb-mass-storage,path={_plain(str(disc), 'a disc')},readonly"]
    return tuple(words)


def _shares(spec: MachineSpec) -> tuple[str, ...]:
    words: list[str] = []
    for share in spec.shares:
        if share.read_only:
            raise UnsupportedError(
                "a read-only share", PROGRAM, "its guests may write to all shares",
                instead="let the guest mount it read-only",
            )  # fmt: skip
        source, tag = _plain(str(share.source), "a share"), _plain(share.tag, "a tag of a share")
        words += ["--device", f"virtio-fs,sharedDir={source},mountTag={tag}"]
    return tuple(words)


def _vsock(spec: MachineSpec, wiring: Wiring) -> tuple[str, ...]:
    words: list[str] = []
    for port in () if spec.vsock is None else spec.vsock.ports:
        path = _socket(f"{wiring.vsock_folder}/{vsock_socket(port)}", "vsock")
        # `connect`: whoever connects to the socket reaches the guest; `listen` is the other way
        words += ["--device", f"virtio-vsock,port={port},socketURL={path},connect"]
    return tuple(words)


def _socket(path: str, what: str) -> str:
    if len(path.encode()) > SOCKET_PATH_LIMIT:
        raise UnsupportedError(
            f"a {what} socket at {path}", PROGRAM,
            f"the path is longer than {SOCKET_PATH_LIMIT} bytes",
            instead="use a shorter folder",
        )  # fmt: skip
    return _plain(path, f"a {what} socket")


def _plain(text: str, what: str) -> str:
    if "," in text or '"' in text:
        raise _unsaid(f"{what} with a comma or a double quote in its name", text)
    return text


def _unsaid(feature: str, text: str) -> UnsupportedError:
    return UnsupportedError(
        f"{feature} ({text})", PROGRAM, "its options cannot hold one", instead="use another name"
    )
