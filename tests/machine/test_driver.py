from pathlib import Path

import pytest

from sampan.errors import UnsupportedError
from sampan.machine import (
    Disk,
    DiskFormat,
    Forward,
    MachineSpec,
    Network,
    Owners,
    Share,
    ShareKind,
    Vsock,
)
from sampan.machine.driver import Capability, check
from sampan.machine.drivers.qemu import QemuDriver

EVERYTHING = frozenset(Capability)


class Some(QemuDriver):
    """A driver with some capabilities."""

    name = "some"

    def __init__(self, *lacking):
        self.capabilities = EVERYTHING.difference(lacking)


FULL = MachineSpec(
    kernel=Path("k"),
    disks=(Disk(path=Path("a"), format=DiskFormat.QCOW2),),
    discs=(Path("b"),),
    shares=(
        Share(source=Path("c"), tag="c", events=True, owners=Owners.HOST),
        Share(source=Path("d"), tag="d", kind=ShareKind.PLAN9),
    ),
    vsock=Vsock(),
    agent=True,
    publish=(Forward.parse("80:80"),),
)


def test_a_driver_that_can_do_everything():
    check(Some(), FULL)


@pytest.mark.parametrize(
    "lacking",
    [
        "disks",
        "qcow2",
        "discs",
        "virtiofs",
        "share-owners",
        "share-events",
        "9p",
        "vsock",
        "agent",
        "publish",
    ],
)
def test_what_a_driver_lacks_is_refused(lacking):
    with pytest.raises(UnsupportedError, match=f"some cannot do {lacking}") as caught:
        check(Some(Capability(lacking)), FULL)
    assert caught.value.driver == "some"


@pytest.mark.parametrize(
    ("network", "lacking"),
    [
        (Network.STREAM, Capability.LINK_FD),
        (Network.VHOST_USER, Capability.LINK_PATH),
        (Network.DATAGRAM, Capability.LINK_DATAGRAM),
        (Network.VPNKIT, Capability.LINK_VPNKIT),
        (Network.TAP, Capability.HOST_INTERFACE),
        (Network.BRIDGE, Capability.HOST_INTERFACE),
    ],
)
def test_networks_it_cannot_connect(network, lacking):
    with pytest.raises(UnsupportedError):
        check(Some(lacking), MachineSpec(kernel=Path("k"), network=network))


def test_what_is_not_asked_for_need_not_be_there():
    check(Some(*EVERYTHING), MachineSpec(kernel=Path("k")))
