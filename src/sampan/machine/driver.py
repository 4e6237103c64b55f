"""What a driver is: a program that can run machines, and what it can do.

A driver says its capabilities before anything is started; who asks for more is told what
to do instead. The life of a machine (`lifecycle`) knows drivers by these protocols only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol, runtime_checkable

import msgspec

from sampan.base.progress import Progress
from sampan.errors import UnsupportedError
from sampan.machine import qmp
from sampan.machine.agent.link import Link
from sampan.machine.console import Console
from sampan.machine.device import DiskFormat, ShareKind
from sampan.machine.forward import Forward
from sampan.machine.model import Accelerator, End, MachineSpec, Network, Verdict
from sampan.machine.sharing.control import Control
from sampan.machine.state import Folder


class Capability(StrEnum):
    """What a driver may be able to do with a machine."""

    POWER_BUTTON = "power-button"
    DISKS = "disks"
    DISCS = "discs"
    PAUSE = "pause"
    SUSPEND = "suspend"  # to a file, and back in a new process
    SNAPSHOT = "snapshot"  # named ones, with memory
    RELOCATE = "relocate"
    QCOW2 = "qcow2"
    GROW_DISK = "grow-disk"  # while the machine runs
    AGENT = "agent"  # a virtio-serial channel
    VSOCK = "vsock"
    VSOCK_SOCKETS = "vsock-sockets"  # makes the Unix sockets of vsock itself
    VIRTIOFS = "virtiofs"
    OWNERS = "share-owners"  # are kept where the spec says
    EVENTS = "share-events"  # are told to the guest
    PLAN9 = "9p"
    DISPLAY = "display"  # a window
    USB = "usb"
    DEVICES = "devices"  # words for the hypervisor itself
    PUBLISH = "publish"  # ports, by the hypervisor's own network
    EXPOSE = "expose"  # ports there, while the machine runs
    LINK_FD = "link-fd"
    LINK_PATH = "link-path"
    LINK_DATAGRAM = "link-datagram"
    LINK_VPNKIT = "link-vpnkit"
    HOST_INTERFACE = "host-interface"  # a TAP device or a bridge


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How a driver is to start one machine; descriptors and paths stay the caller's.

    Attributes:
        accel: who executes the guest's instructions.
        folder: the machine's runtime folder.
        console: takes what the serial console says.
        deadline_s: for the hypervisor to come up.
        link_fd, link_path: the far end of its network; see `model.Network`.
        vsock_path: where a vhost-user back end for vsock listens.
        agent: takes the conversation with the guest's agent, if the machine has its channel.
        controls: the channels to the servers of those shares that tell events, by tag.
        incoming: wait for the state of another process instead of booting.
        incoming_fd: a file with that state, if it is in one.
    """

    accel: Accelerator
    folder: Folder
    console: Console
    deadline_s: float
    link_fd: int | None = None
    link_path: Path | None = None
    vsock_path: Path | None = None
    agent: Link | None = None
    controls: Mapping[str, Control] = field(default_factory=dict)
    incoming: bool = False
    incoming_fd: int | None = None


class Hypervisor(Protocol):
    """The process that runs one machine."""

    @property
    def pid(self) -> int:
        """Its number."""

    @property
    def argv(self) -> tuple[str, ...]:
        """Its command line."""

    def listen(self, listener: Callable[[qmp.Notice], None]) -> None:
        """Call `listener` with each of its events from now on."""

    async def run(self) -> None:
        """Let the machine go, which is paused at first."""

    async def pause(self) -> None:
        """Stop the machine's processors."""

    async def power_button(self) -> None:
        """Press the ACPI power button."""

    async def forwards(self, wanted: tuple[Forward, ...]) -> tuple[Forward, ...]:
        """The published ports with the host ports they really have."""

    async def expose(self, forward: Forward) -> Forward:
        """Publish one more port; it listens when this returns. Gives it with its real host port.

        Drivers without the capability EXPOSE raise UnsupportedError; a port that cannot be
        published is a `port.PortError`.
        """

    async def unexpose(self, forward: Forward) -> None:
        """Publish a port no more; `forward` has its real host port. Raises as `expose`."""

    async def execute(
        self, command: str, arguments: Mapping[str, qmp.Json] | None = None
    ) -> qmp.Json:
        """Run one command of QMP; drivers without it raise UnsupportedError."""

    def panicked(self, detail: str) -> None:
        """Take note that the guest's kernel gave up, and end the machine."""

    async def kill(self) -> End:
        """End it at once."""

    async def wait(self) -> End:
        """Wait until it has ended, and say how; any number of times."""


class Build(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What decides whether a process can take over the state of another one.

    `machine` is the exact kind of machine; both are empty where no other kinds exist.
    """

    version: str = ""
    machine: str = ""


class Sink(Protocol):
    """Takes bytes."""

    def write(self, data: memoryview, /) -> object:
        """Take all of `data`."""


@runtime_checkable
class Movable(Protocol):
    """What a hypervisor can besides, whose driver has the capability SUSPEND."""

    async def build(self) -> Build:
        """Its version and kind."""

    async def unplug(self, spec: MachineSpec) -> None:
        """Take out of the machine, which runs, what cannot be saved."""

    async def plug(self, spec: MachineSpec, accel: Accelerator) -> None:
        """Put that in again, or into a machine that has taken a state."""

    async def save(self, state: Sink, progress: Progress) -> None:
        """Write memory and devices of the machine, which is paused, to `state`."""

    async def load(self, fd: int) -> None:
        """Take the state in the file `fd`, which `Launch` had; the machine is paused then."""


class Driver(Protocol):
    """A kind of hypervisor."""

    @property
    def name(self) -> str:
        """What users call it."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What it can do."""

    def verdict(self, spec: MachineSpec, root: Path) -> Verdict:
        """The accelerator for a machine; may run a probe, and remember in `root` what it found."""

    async def start(self, spec: MachineSpec, launch: Launch) -> Hypervisor:
        """Start a machine, paused; the caller ends it with `kill` whatever happens."""


def check(driver: Driver, spec: MachineSpec) -> None:
    """Refuse what `driver` cannot give a machine.

    Raises:
        UnsupportedError: the spec asks for it.
    """
    for capability, wanted in (
        (Capability.DISKS, spec.disks),
        (Capability.QCOW2, any(each.format is DiskFormat.QCOW2 for each in spec.disks)),
        (Capability.DISCS, spec.discs),
        (Capability.VSOCK, spec.vsock),
        (Capability.AGENT, spec.agent),
        (Capability.VIRTIOFS, any(each.kind is ShareKind.VIRTIOFS for each in spec.shares)),
        (Capability.OWNERS, any(each.owners for each in spec.shares)),
        (Capability.EVENTS, any(each.events for each in spec.shares)),
        (Capability.PLAN9, any(each.kind is ShareKind.PLAN9 for each in spec.shares)),
        (Capability.DISPLAY, spec.display),
        (Capability.USB, spec.usb),
        (Capability.DEVICES, spec.devices),
        (Capability.PUBLISH, spec.publish),
        (Capability.LINK_FD, spec.network is Network.STREAM),
        (Capability.LINK_PATH, spec.network is Network.VHOST_USER),
        (Capability.LINK_DATAGRAM, spec.network is Network.DATAGRAM),
        (Capability.LINK_VPNKIT, spec.network is Network.VPNKIT),
        (Capability.HOST_INTERFACE, spec.network in (Network.TAP, Network.BRIDGE)),
    ):
        if wanted and capability not in driver.capabilities:
            raise UnsupportedError(
                capability.value, driver.name, "its driver has no such capability",
                instead="use the driver qemu, or leave it away",
            )  # fmt: skip
