"""What must be so before a machine is launched; looks at the spec and at files, and starts nothing."""

from __future__ import annotations

import shlex
from pathlib import Path

from sampan.errors import UsageError
from sampan.machine import driver as drivers
from sampan.machine import port
from sampan.machine.driver import Driver
from sampan.machine.error import MachineError
from sampan.machine.model import MachineSpec, Network
from sampan.machine.sharing import share


def check(
    driver: Driver, spec: MachineSpec, *, link_fd: int | None, link_path: Path | None
) -> None:
    """Refuse a machine that could not start; `link_…` as in `body.LaunchOptions`.

    Raises:
        UsageError: the spec makes no sense, or the link is not what its network needs.
        UnsupportedError: the driver cannot do what the spec asks for.
        PortError: a published port is taken.
        MachineError: a file is missing.
    """
    spec.check()
    drivers.check(driver, spec)
    _check_link(spec, link_fd, link_path)
    _check_files(spec)
    port.check(spec.publish)
    share.check(spec.shares)
    _check_events(spec)


def _check_link(spec: MachineSpec, link_fd: int | None, link_path: Path | None) -> None:
    given = {"descriptor": link_fd, "path": link_path}
    paths = (Network.VHOST_USER, Network.DATAGRAM, Network.VPNKIT)
    for what, networks in (("descriptor", (Network.STREAM,)), ("path", paths)):
        needs = spec.network in networks
        if needs != (given[what] is not None):
            raise UsageError(
                f"a machine on the network {spec.network} needs "
                f"{'a' if needs else 'no'} {what} for its link"
            )


def _check_events(spec: MachineSpec) -> None:
    if any(each.events for each in spec.shares) and not spec.agent:
        raise UsageError(
            "file events need a channel to the guest's agent", hint="say MachineSpec(agent=True)"
        )


def _check_files(spec: MachineSpec) -> None:
    for path in (spec.kernel, spec.initrd, *spec.discs):
        if path is not None and not path.is_file():
            raise MachineError(f"{path}: no such file")
    for disk in spec.disks:
        if not disk.path.is_file():
            made = shlex.join(("qemu-img", "create", "-f", disk.format, str(disk.path), "1G"))
            raise MachineError(f"{disk.path}: no such file", hint=f"to make that disk: {made}")
