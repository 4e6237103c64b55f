"""How a machine is connected; no machine is needed to see that."""

import socket
from pathlib import Path

import pytest
from msgspec.structs import replace

from sampan.desktop.link import Link
from sampan.desktop.network import Networking, Options, connection, published_by_machine
from sampan.errors import SampanError, UsageError
from sampan.machine import Forward, MachineSpec, Network
from sampan.machine.device import Vsock
from sampan.machine.drivers.qemu_argv import mac_address
from sampan.net.link.stream import QEMU, Decoder
from sampan.net.services.portcontrol import Allowed
from sampan.net.setting import Settings
from sampan.net.wire import arp, ethernet
from sampan.net.wire.address import BROADCAST_MAC, parse_ip, parse_mac

SPEC = MachineSpec(kernel=Path("k"), name="web")


def ask(link, mac, address):
    """What the network answers to who has `address`."""
    asked = parse_ip(address)
    question = arp.Arp(arp.Operation.REQUEST, mac, asked[:3] + b"\3", bytes(6), asked)
    frame = ethernet.Frame(BROADCAST_MAC, mac, ethernet.EtherType.ARP, question.emit())
    link.settimeout(60)
    link.sendall(QEMU.encode(frame.emit()))
    decoder = Decoder(QEMU)
    while True:
        for each in map(ethernet.Frame.parse, decoder.received(link.recv(65536))):
            if each.ethertype == ethernet.EtherType.ARP:
                return arp.Arp.parse(each.payload)


def test_a_network_of_its_own():
    with connection(SPEC, Options(link=Link.STREAM, publish=("0:80", "0:53/udp"))) as made:
        assert made.spec.network is Network.STREAM
        assert made.spec.mac == mac_address("web")
        assert [each.guest_port for each in made.published] == [80, 53]
        with socket.create_connection(("127.0.0.1", made.published[0].host_port)):
            pass
        answer = ask(made.link, parse_mac(made.spec.mac), "192.168.65.1")
        assert answer.sender_ip == parse_ip("192.168.65.1")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", made.published[0].host_port))


def test_unix_sockets_are_told_by_their_path(tmp_path):
    with connection(SPEC, Options(publish=(f"{tmp_path}/s:80",))) as made:
        assert made.published[0].path == f"{tmp_path}/s"
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(made.published[0].path)


def test_what_else_the_network_is():
    with connection(
        SPEC, Options(link=Link.STREAM, settings=Settings(subnet="10.9.8.0/24"))
    ) as made:
        answer = ask(made.link, parse_mac(made.spec.mac), "10.9.8.1")
        assert answer.sender_ip == parse_ip("10.9.8.1")


def test_shared_memory(runtime_root):
    options = Options(link=Link.VHOST_USER, runtime_root=runtime_root)
    with connection(SPEC, options) as made:
        assert (made.spec.network, made.link) == (Network.VHOST_USER, None)
        assert made.link_path.parent == runtime_root
        assert made.link_path.stat().st_mode & 0o777 == 0o600
    assert not made.link_path.exists()


def test_somebody_elses_network(tmp_path):
    path = tmp_path / "net"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        with connection(SPEC, Options(join=path)) as made:
            assert made.spec.network is Network.STREAM
            server.accept()[0].close()
            assert made.link.recv(1) == b""


def test_nobody_serves_it(tmp_path):
    options = Options(join=tmp_path / "net")
    with (
        pytest.raises(SampanError, match="no network can be joined") as caught,
        connection(SPEC, options),
    ):
        pass
    assert caught.value.hint == f"start one: sampan net serve --listen qemu:{tmp_path}/net"


def test_qemus_own_network_publishes_itself():
    with connection(SPEC, Options(networking=Networking.USER, publish=("0:80",))) as made:
        assert made.link is None
        assert made.spec.publish == (Forward.parse("0:80"),)
    [published] = published_by_machine((Forward.parse("8080:80"),))
    assert (published.host_port, published.guest_port, published.protocol) == (8080, 80, "tcp")


def test_no_network():
    with connection(SPEC, Options(networking=Networking.NONE)) as made:
        assert made.spec.network is Network.NONE


@pytest.mark.parametrize("kind", [Networking.TAP, Networking.BRIDGE])
def test_interfaces_of_the_host(kind):
    with connection(SPEC, Options(networking=kind, interface="lab0")) as made:
        assert (made.spec.network, made.spec.interface) == (Network(kind.value), "lab0")
        made.spec.check()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (Options(networking=Networking.NONE, publish=("1:1",)), "publishes no ports"),
        (Options(networking=Networking.NONE, address="1.2.3.4"), "takes our own network"),
        (Options(networking=Networking.USER, address="1.2.3.4"), "takes our own network"),
        (Options(networking=Networking.USER, settings=Settings()), "settings of the network"),
        (Options(join=Path("/a"), publish=("1:1",)), "somebody else's to configure"),
        (Options(join=Path("/a"), settings=Settings()), "somebody else's to configure"),
        (Options(publish=("x",)), "no guest port"),
        (Options(address="1.2.3.4"), "no address of a station"),
    ],
)
def test_what_makes_no_sense(options, text):
    with pytest.raises(UsageError, match=text), connection(SPEC, options):
        pass


ASKING = MachineSpec(kernel=Path("k"), name="web", vsock=Vsock())


@pytest.mark.parametrize(
    ("spec", "options", "text"),
    [
        (SPEC, Options(), "this one has none"),
        (ASKING, Options(networking=Networking.NONE), "a network of its own only"),
        (ASKING, Options(networking=Networking.SHARED), "a network of its own only"),
        (ASKING, Options(join=Path("/a")), "a network of its own only"),
    ],
)
def test_guests_that_cannot_ask(spec, options, text):
    options = replace(options, guest_forwards=Allowed.ALL)
    with pytest.raises(UsageError, match=text), connection(spec, options):
        pass
