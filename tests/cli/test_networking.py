from pathlib import Path

import pytest

from sampan.cli import networking
from sampan.cli.backend import Backend
from sampan.desktop.link import Link
from sampan.desktop.network import Networking
from sampan.errors import UsageError


@pytest.mark.parametrize(
    ("text", "kind", "link", "join"),
    [
        ("vpnkit", Networking.VPNKIT, Backend.QEMU.link, None),
        ("default", Networking.VPNKIT, Backend.QEMU.link, None),
        ("vpnkit,stream", Networking.VPNKIT, Link.STREAM, None),
        ("vpnkit,vhost-user", Networking.VPNKIT, Link.VHOST_USER, None),
        ("vpnkit,/run/net", Networking.VPNKIT, Backend.QEMU.link, Path("/run/net")),
        ("docker-for-mac", Networking.SHARED, Backend.QEMU.link, None),
        ("user", Networking.USER, Backend.QEMU.link, None),
        ("none", Networking.NONE, Backend.QEMU.link, None),
    ],
)
def test_kinds(text, kind, link, join):
    made = networking._networking(text, Backend.QEMU)
    assert (made.networking, made.link, made.join) == (kind, link, join)


def test_interfaces():
    made = networking._networking("tap,tap0", Backend.QEMU)
    assert (made.networking, made.interface) == (Networking.TAP, "tap0")


@pytest.mark.parametrize("chosen", [Backend.VFKIT, Backend.HYPERKIT])
def test_other_hypervisors_have_links_of_their_own(chosen):
    assert networking._networking("vpnkit", chosen).link is chosen.link
    assert networking._networking("vmnet", chosen).networking is Networking.USER
    with pytest.raises(UsageError, match="says nothing about vpnkit"):
        networking._networking("vpnkit,stream", chosen)


def test_all_flags_together(runtime_root):
    flags = networking.Flags(publish=("80:80",), ip="192.168.65.9", wanted={"mtu": 1400})
    made = networking.connection(flags, Backend.QEMU, runtime_root)
    assert (made.publish, made.address) == (("80:80",), "192.168.65.9")
    assert made.settings.mtu == 1400
    assert made.runtime_root == runtime_root


@pytest.mark.parametrize("text", ["x", "vmnet", "vpnkit,fast", "user,/a"])
def test_what_says_nothing(text):
    with pytest.raises(UsageError):
        networking._networking(text, Backend.QEMU)
