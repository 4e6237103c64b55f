"""Links with paths, as the hypervisors of macOS connect to them; no machine is needed."""

import os
import socket
import subprocess
import uuid
from pathlib import Path

import pytest

from sampan.desktop.link import Link, mac_of
from sampan.desktop.network import Networking, Options, connection, planned
from sampan.errors import UsageError
from sampan.machine import MachineSpec, Network
from sampan.net.link.stream import VMNET, Decoder
from sampan.net.link.vmnet import Command, Init
from sampan.net.wire import arp, ethernet
from sampan.net.wire.address import BROADCAST_MAC, parse_ip

SPEC = MachineSpec(kernel=Path("k"), name="web")


def question(mac):
    """Who has the gateway's address?"""
    asked = parse_ip("192.168.65.1")
    who = arp.Arp(arp.Operation.REQUEST, mac, asked[:3] + b"\3", bytes(6), asked)
    return ethernet.Frame(BROADCAST_MAC, mac, ethernet.EtherType.ARP, who.emit()).emit()


def is_answer(frame):
    parsed = ethernet.Frame.parse(frame)
    return parsed.ethertype == ethernet.EtherType.ARP and (
        arp.Arp.parse(parsed.payload).sender_ip == parse_ip("192.168.65.1")
    )


def test_datagrams_as_vfkit_sends_them(runtime_root):
    options = Options(link=Link.DATAGRAM, runtime_root=runtime_root)
    with (
        connection(SPEC, options) as made,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as machine,
    ):
        assert made.spec.network is Network.DATAGRAM
        machine.bind(str(runtime_root / "vfkit"))
        machine.connect(str(made.link_path))
        machine.settimeout(60)
        machine.send(b"VFKT")
        machine.send(question(mac_of(made.spec)))
        while not is_answer(machine.recv(65536)):
            pass
    assert not made.link_path.exists()


def test_vpnkits_protocol_as_hyperkit_speaks_it(runtime_root):
    options = Options(link=Link.VPNKIT, runtime_root=runtime_root)
    with connection(SPEC, options) as made, socket.socket(socket.AF_UNIX) as machine:
        assert made.spec.network is Network.VPNKIT
        machine.settimeout(60)
        machine.connect(str(made.link_path))
        machine.sendall(Init().emit())
        _exactly(machine, len(Init().emit()))
        machine.sendall(Command(uuid.uuid4()).emit())
        card = _exactly(machine, 258)
        assert mac_of(made.spec) in card
        machine.sendall(VMNET.encode(question(mac_of(made.spec))))
        decoder = Decoder(VMNET)
        while not any(map(is_answer, decoder.received(machine.recv(65536)))):
            pass
    assert not made.link_path.exists()


def _exactly(connection_, size):
    data = b""
    while len(data) < size:
        data += connection_.recv(size - len(data))
    return data


@pytest.mark.parametrize("link", [Link.DATAGRAM, Link.VPNKIT])
def test_a_hypervisor_joins_somebody_elses_network_itself(link, tmp_path):
    with connection(SPEC, Options(link=link, join=tmp_path / "net")) as made:
        assert (made.spec.network, made.link_path) == (link.network, tmp_path / "net")


def test_the_shared_network_is_for_qemu(runtime_root):
    options = Options(networking=Networking.SHARED, link=Link.VPNKIT, control_folder=runtime_root)
    with pytest.raises(UsageError, match="only machines of QEMU"), connection(SPEC, options):
        pass


@pytest.mark.parametrize(
    ("options", "network"),
    [
        (Options(link=Link.VHOST_USER), Network.VHOST_USER),
        (Options(link=Link.VHOST_USER, join=Path("/n")), Network.STREAM),
        (Options(link=Link.DATAGRAM, join=Path("/n")), Network.DATAGRAM),
        (Options(networking=Networking.USER), Network.USER),
        (Options(networking=Networking.TAP, interface="tap0"), Network.TAP),
        (Options(networking=Networking.NONE), Network.NONE),
    ],
)
def test_what_would_be_is_told_without_doing_it(options, network):
    assert planned(SPEC, options).network is network


def test_sockets_that_a_crash_left_go(runtime_root):
    gone = subprocess.Popen(["true"])
    gone.wait()
    left, kept, answered = (
        runtime_root / f"net-{pid:x}-00000{number}"
        for number, pid in enumerate((gone.pid, os.getpid(), gone.pid))
    )
    for path in (left, kept):
        with socket.socket(socket.AF_UNIX) as crashed:
            crashed.bind(str(path))
    (runtime_root / "net-x").touch()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(answered))
        listening.listen()
        options = Options(link=Link.VPNKIT, runtime_root=runtime_root)
        with connection(SPEC, options) as made:
            assert made.link_path.is_socket()
    assert {path.name for path in runtime_root.glob("net-*")} == {kept.name, answered.name, "net-x"}
