"""Which hypervisor `sampan run` uses: its names, its driver, its links, and what it would run."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from sampan.errors import UsageError

if TYPE_CHECKING:
    from sampan.desktop.link import Link
    from sampan.desktop.network import Options
    from sampan.machine.device import DiskFormat
    from sampan.machine.driver import Driver
    from sampan.machine.model import MachineSpec

_MADE_UP = "vm-000000"  # the folder of a machine that is not run


class Backend(StrEnum):
    """The hypervisors, by the names of their drivers."""

    QEMU = "qemu"
    VFKIT = "vfkit"
    HYPERKIT = "hyperkit"

    @property
    def links(self) -> dict[str, Link]:
        """How its machines may come to a network of ours, by what `--networking vpnkit,…` says."""
        from sampan.desktop.link import Link

        links = {
            Backend.QEMU: (Link.STREAM, Link.VHOST_USER),
            Backend.VFKIT: (Link.DATAGRAM,),
            Backend.HYPERKIT: (Link.VPNKIT,),
        }[self]
        return {link.value: link for link in links}

    @property
    def link(self) -> Link:
        """The usual one of `links`."""
        from sampan.desktop.link import DEFAULT_LINK

        return self.links.get(DEFAULT_LINK, next(iter(self.links.values())))

    @property
    def disk_format(self) -> DiskFormat:
        """How new disks are kept, if nobody says.

        vfkit reads raw ones only, and HyperKit others only if it was built so.
        """
        from sampan.machine.device import DiskFormat

        return DiskFormat.QCOW2 if self is Backend.QEMU else DiskFormat.RAW


NAMES = {
    "qemu": Backend.QEMU,
    "vfkit": Backend.VFKIT,
    "virtualization": Backend.VFKIT,  # as LinuxKit calls Virtualization.framework
    "virtualization.framework": Backend.VFKIT,
    "hyperkit": Backend.HYPERKIT,
}


def split(words: Sequence[str], document: Path | None = None) -> tuple[Backend, Path]:
    """The hypervisor and the system that the arguments of `sampan run` name.

    With a `document` there is no system; it is called as the document then, without the suffix.

    Raises:
        UsageError: they name no system, or several.
    """
    if not words and document is None:
        raise UsageError(
            "the name of the system is missing", hint="sampan run PATH, or sampan run --spec FILE"
        )
    chosen = NAMES.get(words[0]) if words else Backend.QEMU
    if document is not None:
        if chosen is None or len(words) > 1:
            raise UsageError(
                f"cannot run {words[-1]} and the machine of {document} at once",
                hint="say PATH or --spec",
            )
        return chosen, document.with_suffix("")
    if len(words) == 1 and chosen is None:
        return Backend.QEMU, Path(words[0])
    if len(words) == 2 and chosen is not None:
        return chosen, Path(words[1])
    if len(words) == 1:
        raise UsageError("the name of the system is missing", hint=f"sampan run {words[0]} PATH")
    from sampan.spec.guess import hint

    raise UsageError(
        f"cannot run several systems at once: {' '.join(words)}",
        hint=(hint(words[0], NAMES) if chosen is None else None)
        or f"run each by itself; hypervisors are called {', '.join(NAMES)}",
    )


def driver(backend: Backend, *, virtiofsd: Path | None, state: Path | None) -> Driver:
    """The driver; `state` is where HyperKit's users look for files."""
    match backend:
        case Backend.QEMU:
            from sampan.machine.drivers.qemu import QemuDriver

            return QemuDriver(virtiofsd=virtiofsd)
        case Backend.VFKIT:
            from sampan.machine.drivers.vfkit import VfkitDriver

            return VfkitDriver()
        case Backend.HYPERKIT:
            from sampan.machine.drivers.hyperkit import HyperKitDriver

            return HyperKitDriver(state)


def preview(
    backend: Backend, spec: MachineSpec, network: Options, runtime_folder: Path | None
) -> str:
    """The command that would be run, quoted for a shell; nothing is made or started for it.

    Raises:
        SampanError: it could not be run.
    """
    from sampan.desktop.network import planned
    from sampan.machine.drivers.preview import command_line

    folder = runtime_folder or Path(f"/tmp/sampan-{os.getuid()}")
    spec = planned(spec, network)
    return shlex.join(command_line(backend.value, spec, str(folder / _MADE_UP)))
