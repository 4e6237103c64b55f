"""What a machine is, before it exists, and how it ended: frozen values, no behaviour.

Pure: no I/O and no clock. Only kernel+initrd boots today; the other ways to boot (firmware
with a disk or an ISO) will be further optional fields beside `kernel`.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import msgspec

from sampan.errors import UsageError
from sampan.machine.device import Disk, Share, Vsock
from sampan.machine.forward import Forward

MIN_MEM_MIB = 32
MAX_CPUS = 255  # what pc and virt machines take without further options


_KINDS = {"kernel": Path, "cpus": int, "mem_mib": int}


class Arch(StrEnum):
    """The processor of a machine, named as in image platforms."""

    AMD64 = "amd64"
    ARM64 = "arm64"

    @classmethod
    def parse(cls, text: str) -> Arch:
        """The architecture that `text` (`amd64`, `x86_64`, `arm64`, `aarch64`) names.

        Raises:
            UsageError: it is none of those.
        """
        name = {"x86_64": "amd64", "aarch64": "arm64"}.get(text.lower(), text.lower())
        try:
            return cls(name)
        except ValueError:
            raise UsageError(
                f"cannot run machines of architecture {text!r}",
                hint=f"say one of: {', '.join(cls)}",
            ) from None


class Accelerator(StrEnum):
    """Who executes the guest's instructions: the processor (KVM, HVF) or QEMU itself (TCG)."""

    KVM = "kvm"
    HVF = "hvf"
    TCG = "tcg"


class Verdict(msgspec.Struct, frozen=True):
    """The accelerator to use, and why not a faster one (empty if it is the fastest)."""

    accel: Accelerator
    why: str = ""


class Network(StrEnum):
    """What a machine's network device is connected to.

    `user`: the hypervisor's own network: QEMU's user networking, which publishes ports itself, or
    macOS' vmnet, which does not. `datagram`: the path of a Unix datagram socket, one frame in
    each datagram, as vfkit has it. `vpnkit`: the path of a Unix socket where VPNKit's protocol is
    spoken, as HyperKit has it. `stream`: a descriptor that
    is given when the machine is launched, with somebody at its other end who speaks QEMU's
    framing (a length of 32 bits, big endian, in front of each frame). `vhost-user`: the path of
    a Unix socket where a vhost-user back end listens. `tap`: a TAP device of the host, that is
    there; `bridge`: a bridge of the host, to which QEMU's setuid helper connects it. `none`:
    there is no device.
    """

    USER = "user"
    STREAM = "stream"
    VHOST_USER = "vhost-user"
    DATAGRAM = "datagram"
    VPNKIT = "vpnkit"
    TAP = "tap"
    BRIDGE = "bridge"
    NONE = "none"


class MachineSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A machine that boots a Linux kernel directly.

    `accel` None lets the driver choose one that works here. `mac` empty gives an address
    derived from the machine's name. `interface` is the host's TAP device or bridge, for networks
    that are those. A guest that reboots starts again when `reboots`, else
    its machine ends. `discs` are ISO images. `display` opens a window with the machine's screen,
    `usb` gives it a controller for USB devices; `devices` are words for the hypervisor itself,
    passed as they are (QEMU's `-device`). `agent` gives the machine a channel for the guest's
    agent (`machine.agent`).
    """

    kernel: Path
    initrd: Path | None = None
    cmdline: str = ""
    cpus: int = 1
    mem_mib: int = 1024
    arch: Arch = Arch.AMD64
    accel: Accelerator | None = None
    network: Network = Network.USER
    interface: str = ""
    publish: tuple[Forward, ...] = ()
    disks: tuple[Disk, ...] = ()
    discs: tuple[Path, ...] = ()
    shares: tuple[Share, ...] = ()
    vsock: Vsock | None = None
    agent: bool = False
    display: bool = False
    usb: bool = False
    devices: tuple[str, ...] = ()
    name: str = "sampan"
    mac: str = ""
    reboots: bool = True

    def check(self) -> None:
        """Refuse what no driver could run.

        Raises:
            UsageError: a number is out of its range, or no number.
        """
        for name, kind in _KINDS.items():  # what programs without types get wrong
            if not isinstance(value := getattr(self, name), kind):
                raise UsageError(f"{name} of a machine is {value!r}: that is no {kind.__name__}")
        if not 1 <= self.cpus <= MAX_CPUS:
            raise UsageError(f"a machine cannot have {self.cpus} cpus (1 to {MAX_CPUS})")
        if self.mem_mib < MIN_MEM_MIB:
            raise UsageError(
                f"{self.mem_mib} MiB of memory is too little for any Linux kernel",
                hint=f"say at least {MIN_MEM_MIB} MiB",
            )
        if bool(self.interface) != (self.network in (Network.TAP, Network.BRIDGE)):
            raise UsageError(
                f"a machine on the network {self.network} "
                f"needs {'no' if self.interface else 'an'} interface of the host",
                hint="for instance tap,tap0 or bridge,br0",
            )
        if self.publish and self.network is not Network.USER:
            raise UsageError(
                f"a machine on the network {self.network} cannot publish ports itself",
                hint="let whoever is at the other end of its link forward them",
            )


class Ending(StrEnum):
    """The ways a machine ends."""

    POWERED_OFF = "powered-off"  # the guest switched itself off
    REBOOTED = "rebooted"  # the guest rebooted, and its spec says that ends it
    PANICKED = "panicked"  # the guest's kernel gave up
    FORCED = "forced"  # we pulled the plug, as asked
    SUSPENDED = "suspended"  # it is in a file, and goes on from there
    DIED = "died"  # the hypervisor ended in a way nobody asked for


class End(msgspec.Struct, frozen=True, kw_only=True):
    """How a machine ended; `detail` says more in one or more lines, or is empty."""

    ending: Ending
    detail: str = ""

    @property
    def clean(self) -> bool:
        """Whether the guest came to its end by itself and in order."""
        return self.ending in (Ending.POWERED_OFF, Ending.REBOOTED, Ending.SUSPENDED)

    @property
    def crashed(self) -> bool:
        """Whether it ended in a way that nobody wanted."""
        return self.ending in (Ending.PANICKED, Ending.DIED)
