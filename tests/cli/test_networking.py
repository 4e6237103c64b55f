from pathlib import Path

import pytest

from sampan.cli import networking as networking_
from sampan.cli.backend import Backend
from sampan.desktop.link import Link
from sampan.desktop.network import Networking, Options
from sampan.errors import UsageError
from sampan.machine import Forward, MachineSpec, Network
from sampan.net.services.portcontrol import Allowed


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
    made = networking_._networking(text, Backend.QEMU)
    assert (made.networking, made.link, made.join) == (kind, link, join)


def test_interfaces():
    made = networking_._networking("tap,tap0", Backend.QEMU)
    assert (made.networking, made.interface) == (Networking.TAP, "tap0")


@pytest.mark.parametrize("chosen", [Backend.VFKIT, Backend.HYPERKIT])
def test_other_hypervisors_have_links_of_their_own(chosen):
    assert networking_._networking("vpnkit", chosen).link is chosen.link
    assert networking_._networking("vmnet", chosen).networking is Networking.USER
    with pytest.raises(UsageError, match="says nothing about vpnkit"):
        networking_._networking("vpnkit,stream", chosen)


def test_all_flags_together(runtime_root, monkeypatch):
    flags = networking_.Flags(publish=("80:80",), ip="192.168.65.9", wanted={"mtu": 1400})
    made = networking_.connection(flags, Backend.QEMU)
    assert (made.publish, made.address) == (("80:80",), "192.168.65.9")
    assert made.settings.mtu == 1400
    assert (made.control_folder, made.runtime_root) == (None, None)
    monkeypatch.setenv("SAMPAN_RUNTIME_DIR", str(runtime_root))
    found = networking_.here(made, runtime_root)
    assert found.runtime_root == runtime_root
    assert found.control_folder is not None
    assert runtime_root in found.control_folder.parents


@pytest.mark.parametrize("text", ["x", "vmnet", "vpnkit,fast", "user,/a"])
def test_what_says_nothing(text):
    with pytest.raises(UsageError):
        networking_._networking(text, Backend.QEMU)


@pytest.mark.parametrize(
    ("spec", "networking", "link", "interface"),
    [
        ({}, Networking.VPNKIT, Backend.QEMU.link, ""),
        ({"network": Network.STREAM}, Networking.VPNKIT, Link.STREAM, ""),
        ({"network": Network.NONE}, Networking.NONE, Backend.QEMU.link, ""),
        ({"network": Network.TAP, "interface": "tap0"}, Networking.TAP, None, "tap0"),
    ],
)
def test_what_a_document_says(spec, networking, link, interface):
    spec = MachineSpec(kernel=Path("k"), **spec)
    made = networking_.connection(networking_.Flags(), Backend.QEMU, spec)
    assert (made.networking, made.interface) == (networking, interface)
    assert link in (None, made.link)
    flags = networking_.Flags(networking="user")
    made = networking_.connection(flags, Backend.QEMU, spec)
    assert made.networking is Networking.USER, "flags are above it"


def test_ports_of_a_document_come_first():
    ports = (Forward(host_port=8080, guest_port=80),)
    spec = MachineSpec(kernel=Path("k"), publish=ports)
    flags = networking_.Flags(publish=("8443-8444:443-444",))
    made = networking_.connection(flags, Backend.QEMU, spec)
    assert made.publish == ("127.0.0.1:8080:80/tcp", "8443-8444:443-444")
    plain = networking_.unconnected(spec)
    assert plain == MachineSpec(kernel=Path("k"))
    again = networking_.described(plain, made)
    assert [each.host_port for each in again.publish] == [8080, 8443, 8444]


@pytest.mark.parametrize("text", ["./web.sock:80", "80:192.168.65.7:80"])
def test_what_no_document_says(text):
    with pytest.raises(UsageError, match="ports of this host and of the machine only"):
        networking_.described(MachineSpec(kernel=Path("k")), Options(publish=(text,)))


def test_interfaces_in_documents():
    options = Options(networking=Networking.BRIDGE, interface="br0")
    spec = networking_.described(MachineSpec(kernel=Path("k")), options)
    assert (spec.network, spec.interface) == (Network.BRIDGE, "br0")


def test_guests_that_ask_for_ports():
    flags = networking_.Flags(guest_forwards="loopback")
    assert networking_.connection(flags, Backend.QEMU).guest_forwards is Allowed.LOOPBACK
    with pytest.raises(UsageError, match="cannot ask for ports"):
        networking_.connection(flags, Backend.VFKIT)
