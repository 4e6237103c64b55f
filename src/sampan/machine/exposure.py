"""Ports that are published while a machine runs: whether that can be, and which one is meant.

A published port is known by where it listens: protocol, address and host port. Knows nothing of
hypervisors.
"""

from __future__ import annotations

from sampan.errors import UnsupportedError
from sampan.machine import port
from sampan.machine.driver import Capability, Driver
from sampan.machine.forward import Forward
from sampan.machine.model import MachineSpec, Network
from sampan.machine.port import PortError

_INSTEAD = {  # of all others the network is served elsewhere
    Network.NONE: "give the machine a network",
    Network.TAP: "connect to the guest by its own address",
    Network.BRIDGE: "connect to the guest by its own address",
}
_OF_OURS = "if its network is one of Sampan's: UserNetwork.expose, or `sampan net expose`"


def check(driver: Driver, spec: MachineSpec) -> None:
    """Refuse machines whose ports are not published by their hypervisor, or not while they run.

    Raises:
        UnsupportedError: it is one; the hint says who publishes its ports.
    """
    feature = Capability.EXPOSE.value
    if spec.network is not Network.USER:
        raise UnsupportedError(
            feature, f"a machine on the network {spec.network}",
            "only QEMU's user network publishes ports of the machine itself",
            instead=_INSTEAD.get(spec.network, _OF_OURS),
        )  # fmt: skip
    if Capability.EXPOSE not in driver.capabilities:
        raise UnsupportedError(
            feature, driver.name, "its driver has no such capability", instead="use the driver qemu"
        )


def admitted(published: tuple[Forward, ...], wanted: Forward) -> Forward:
    """`wanted`, with its address as one writes it, if it can be published besides `published`.

    Raises:
        UsageError: a port or the address of it is none.
        PortError: it listens already, or somebody else has the port; the message names it.
    """
    wanted = Forward.parse(str(wanted))
    for each in published:
        if wanted.host_port and _place(each) == _place(wanted):
            raise PortError(
                f"host port {wanted.host_port}/{wanted.protocol} is published already, "
                f"to port {each.guest_port}",
                hint=f"end that first: unexpose {each}",
            )
    port.check((wanted,))
    return wanted


def found(published: tuple[Forward, ...], meant: Forward) -> Forward:
    """The one of `published` that listens where `meant` does, wherever that leads.

    Raises:
        PortError: there is none.
    """
    for each in published:
        if _place(each) == _place(meant):
            return each
    raise PortError(
        f"nothing is published on {meant.bind} port {meant.host_port}/{meant.protocol}",
        hint="vm.forwards has what is, with the ports that 0 became",
    )


def _place(forward: Forward) -> tuple[str, str, int]:
    return forward.protocol, forward.bind, forward.host_port
