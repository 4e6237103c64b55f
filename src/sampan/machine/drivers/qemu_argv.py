"""The command line of QEMU for a machine: a pure function, printed by `--dry-run`.

Which machine type where (measured: of 28 boots each on a loaded host under TCG all came up
on `pc`, 20 on `microvm`): `pc` when QEMU executes the guest itself, `q35` on a real
x86 processor, `virt` on arm64. `-nodefaults` leaves only the devices named here.

The console and the control connection are listening sockets that the caller made and passes
as descriptors: no path, no race and no polling for their appearance.
"""

from __future__ import annotations

import hashlib
from typing import assert_never

import msgspec

from sampan.errors import UnsupportedError
from sampan.machine.drivers import qemu_agent, qemu_disk, qemu_share, qemu_vsock
from sampan.machine.forward import Forward
from sampan.machine.model import Accelerator, Arch, MachineSpec, Network

_PROGRAMS = {Arch.AMD64: "qemu-system-x86_64", Arch.ARM64: "qemu-system-aarch64"}
_PANIC_DEVICES = {Arch.AMD64: "pvpanic", Arch.ARM64: "pvpanic-pci"}
NETDEV = "net0"
MEMORY = "ram0"


class Wiring(msgspec.Struct, frozen=True, kw_only=True):
    """Descriptors QEMU inherits: listening Unix sockets for its control and the console.

    `link_fd` is its end of the network's socket, `link_path` where a back end listens, for
    networks that need one; `vsock_path` and `share_paths` are where those for vsock and
    virtiofs listen. A back end
    has a path because QEMU passes descriptors only to those. `incoming` waits for the state of
    another process instead of booting; `incoming_fd` is a file with it, if it is in one.
    `agent_fd` is a listening socket for the agent's channel, if there is to be one.
    """

    control_fd: int
    console_fd: int
    link_fd: int | None = None
    link_path: str = ""
    agent_fd: int | None = None
    share_paths: tuple[str, ...] = ()
    vsock_path: str = ""
    incoming: bool = False
    incoming_fd: int | None = None

    @property
    def descriptors(self) -> tuple[int, ...]:
        """All of them."""
        optional = (self.link_fd, self.agent_fd, self.incoming_fd)
        return (self.control_fd, self.console_fd, *(fd for fd in optional if fd is not None))


def program(arch: Arch) -> str:
    """The QEMU that emulates `arch`."""
    return _PROGRAMS[arch]


def build(spec: MachineSpec, *, accel: Accelerator, wiring: Wiring) -> tuple[str, ...]:
    """The words of the command line, program first.

    The machine starts paused; it waits for someone on the console before it initialises.

    Raises:
        UnsupportedError: the machine asks for what QEMU's user networking cannot do.
    """
    return (
        program(spec.arch),
        "-name", _escape(spec.name),
        "-nodefaults", "-no-user-config", "-S", *_display(spec),
        "-machine", _machine(spec, accel),
        "-accel", _accelerator(spec, accel),
        "-cpu", _cpu(spec.arch, accel),
        "-smp", str(spec.cpus),
        *_memory(spec),
        *_boot(spec),
        *_sockets(wiring),
        "-action", "panic=shutdown" if spec.reboots else "panic=shutdown,reboot=shutdown",
        "-device", _PANIC_DEVICES[spec.arch],
        "-object", "rng-builtin,id=rng0",
        "-device", "virtio-rng-pci,rng=rng0",
        # a guest that goes on from a saved state notices, and seeds its random numbers anew
        *(("-device", "vmgenid,guid=auto") if spec.arch is Arch.AMD64 else ()),
        *_network(spec, accel, wiring),
        *qemu_disk.words(spec),
        *qemu_agent.words(wiring.agent_fd),
        *qemu_share.words(spec, accel, wiring.share_paths),
        *(("-device", "qemu-xhci,id=usb0") if spec.usb else ()),
        *(word for device in spec.devices for word in ("-device", device)),
        # last, so that others have the same places on their bus when it is plugged in later
        *qemu_vsock.words(
            spec, accel, _escape(wiring.vsock_path), is_plugged_in=not wiring.incoming
        ),
        *(("-incoming", "defer") if wiring.incoming else ()),
    )  # fmt: skip


def mac_address(name: str) -> str:
    """A locally administered unicast address that is always the same for `name`."""
    octets = bytearray(hashlib.sha256(f"sampan mac {name}".encode()).digest()[:6])
    octets[0] = (octets[0] & 0xFC) | 0x02
    return octets.hex(":")


def _machine(spec: MachineSpec, accel: Accelerator) -> str:
    memory = f",memory-backend={MEMORY}" if _shares_memory(spec) else ""
    if spec.arch is Arch.ARM64:  # KVM has only the interrupt controller of its host
        return ("virt,gic-version=host" if accel is Accelerator.KVM else "virt") + memory
    return ("pc" if accel is Accelerator.TCG else "q35") + memory


def _shares_memory(spec: MachineSpec) -> bool:
    """Whether back ends of vhost-user read and write where the guest has its buffers."""
    if spec.network is Network.VHOST_USER or spec.vsock is not None:
        return True
    return qemu_share.shares_memory(spec)


def _memory(spec: MachineSpec) -> tuple[str, ...]:
    size = f"{spec.mem_mib}M"
    if not _shares_memory(spec):
        return ("-m", size)
    return ("-m", size, "-object", f"memory-backend-memfd,id={MEMORY},size={size},share=on")


def _accelerator(spec: MachineSpec, accel: Accelerator) -> str:
    # An x86 kernel patches itself while it runs, with breakpoints that the other processors
    # must never meet late. Emulated in threads of their own they did, in 1 of 40 boots on a
    # loaded host ("Oops: int3", QEMU 7.2, Linux 6.12); taking turns costs a tenth of the boot.
    if accel is Accelerator.TCG and spec.arch is Arch.AMD64 and spec.cpus > 1:
        return "tcg,thread=single"
    return accel.value


def _cpu(arch: Arch, accel: Accelerator) -> str:
    if accel is not Accelerator.TCG:
        return "host"
    if arch is Arch.ARM64:  # real pointer authentication costs a third of the speed when emulated
        return "max,pauth-impdef=on"
    # Kernels copy and clear by `rep movsb` and `rep stosb` where the processor says that those
    # are fast. Emulated they go byte by byte: without, sockets are 1.5 to 2.8 times as fast.
    return "max,erms=off,fsrm=off"


def _display(spec: MachineSpec) -> tuple[str, ...]:
    if not spec.display:
        return ("-display", "none")
    # which kind of window is QEMU's choice: it depends on how it was built
    if spec.arch is Arch.AMD64:
        return ("-device", "VGA")  # its keyboard and mouse are the machine's own
    keyboard = ("-device", "qemu-xhci,id=gui", "-device", "usb-kbd,bus=gui.0")
    return ("-device", "virtio-gpu-pci", *keyboard, "-device", "usb-tablet,bus=gui.0")


def _boot(spec: MachineSpec) -> tuple[str, ...]:
    initrd = () if spec.initrd is None else ("-initrd", str(spec.initrd))
    append = ("-append", spec.cmdline) if spec.cmdline else ()
    return ("-kernel", str(spec.kernel), *initrd, *append)


def _sockets(wiring: Wiring) -> tuple[str, ...]:
    return (
        "-chardev", f"socket,id=qmp,fd={wiring.control_fd},server=on,wait=off",
        "-mon", "chardev=qmp,mode=control",
        "-chardev", f"socket,id=console,fd={wiring.console_fd},server=on,wait=on",
        "-serial", "chardev:console",
    )  # fmt: skip


def _network(spec: MachineSpec, accel: Accelerator, wiring: Wiring) -> tuple[str, ...]:
    mac = spec.mac or mac_address(spec.name)
    # no option ROM: nothing boots from the network, and not every host has the file
    device = ("-device", f"virtio-net-pci,netdev={NETDEV},mac={mac},romfile=")
    match spec.network:
        case Network.NONE:
            return ()
        case Network.USER:
            rules = (f"hostfwd={rule(forward)}" for forward in spec.publish)
            user = ",".join(["user", f"id={NETDEV}", *rules])
            return ("-netdev", user, *device)
        case Network.STREAM:
            # the same framing as `stream`, which QEMU has only since 7.2
            return ("-netdev", f"socket,id={NETDEV},fd={wiring.link_fd}", *device)
        case Network.TAP:
            tap = f"tap,id={NETDEV},ifname={_escape(spec.interface)},script=no,downscript=no"
            return ("-netdev", tap, *device)
        case Network.BRIDGE:
            return ("-netdev", f"bridge,id={NETDEV},br={_escape(spec.interface)}", *device)
        case Network.VHOST_USER:
            # QEMU 7.2 takes it for granted that KVM delivers a back end's message interrupts:
            # without KVM it crashes when the driver starts, unless there are none
            vectors = "" if accel is Accelerator.KVM else ",vectors=0"
            return (
                "-chardev", f"socket,id=link,path={_escape(wiring.link_path)}",
                "-netdev", f"vhost-user,id={NETDEV},chardev=link",
                "-device", device[1] + vectors,
            )  # fmt: skip
        case Network.DATAGRAM | Network.VPNKIT:
            raise UnsupportedError(
                f"a network by {spec.network}", "QEMU", "it joins networks by streams",
                instead="use the network stream or vhost-user",
            )  # fmt: skip
        case _:
            assert_never(spec.network)


def rule(forward: Forward) -> str:
    """A published port in the words of QEMU's user networking.

    Raises:
        UnsupportedError: it cannot do that.
    """
    if ":" in forward.bind:
        raise UnsupportedError(
            f"a published port on {forward.bind}",
            "QEMU's user networking",
            "it listens on IPv4 addresses only",
            instead="publish on 127.0.0.1 or 0.0.0.0",
        )
    return f"{forward.protocol}:{forward.bind}:{forward.host_port}-:{forward.guest_port}"


def _escape(text: str) -> str:
    """QEMU splits option strings at commas; a doubled one stands for itself."""
    return text.replace(",", ",,")
