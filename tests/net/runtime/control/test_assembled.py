import os
import socket
from pathlib import Path

import pytest

from sampan.errors import SampanError, UsageError
from sampan.net.runtime.attach.memory import MemoryLink
from sampan.net.runtime.control import model
from sampan.net.runtime.control.assembled import Assembled, serving
from sampan.net.runtime.control.client import Client
from sampan.net.runtime.control.fault import ControlError
from sampan.net.runtime.control.network import Controlled
from sampan.net.runtime.usernet import UserNetwork
from sampan.net.services.forward import Forward
from sampan.net.setting import Fixed, Settings
from sampan.net.wire import dns
from sampan.net.wire.ethernet import EtherType, Frame
from sampan.net.wire.ipv4 import Ipv4, Protocol
from sampan.net.wire.udp import Udp

MAC = bytes.fromhex("020000000001")
MACHINE, GATEWAY = bytes([192, 168, 65, 3]), bytes([192, 168, 65, 1])
HOST = bytes([192, 168, 65, 254])


class Machine:
    """Speaks UDP; what it is sent is in `datagrams`."""

    def __init__(self, network):
        self.datagrams: list[bytes] = []
        self.link = MemoryLink(self._received)
        self._mac = network.call(lambda each: each.engine.stack.network.mac)
        self.plug = network.plug(self.link, name="web")

    def _received(self, frames):
        for data in frames:
            frame = Frame.parse(data)
            if frame.ethertype == EtherType.IPV4:
                packet = Ipv4.parse(frame.payload)
                self.datagrams.append(Udp.parse(packet.payload, packet.source, MACHINE).payload)

    def send(self, payload, address, port):
        datagram = Udp(4000, port, payload).emit(MACHINE, address)
        packet = Ipv4(MACHINE, address, Protocol.UDP, datagram).emit()
        self.link.give(Frame(self._mac, MAC, EtherType.IPV4, packet).emit())


@pytest.fixture
def network():
    fixed = (Fixed(mac="02:00:00:00:00:01", address="192.168.65.3", name="web"),)
    with UserNetwork(Settings(hosts_files=(), fixed=fixed)) as network:
        yield network


@pytest.fixture
def client(network, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with serving(network, Path("c.sock"), name="test", listens=("stdio",)):
        yield Client(Path("c.sock"), timeout_s=60)


@pytest.fixture
def machine(network):
    return Machine(network)


@pytest.fixture
def server():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(60)
        yield server


def _say(machine, server, payload=b"hello"):
    machine.send(payload, HOST, server.getsockname()[1])
    assert server.recv(100) == payload


def test_it_can_be_controlled(network):
    controlled: Controlled = network.call(lambda each: Assembled(each, name="a", stop=lambda: None))
    assert controlled.forwards() == ()


def test_info(client):
    said = client.info()
    assert (said.name, said.pid, said.listens) == ("test", os.getpid(), ("stdio",))
    assert (said.gateway, said.host) == ("192.168.65.1", "192.168.65.254")


def test_flows_links_and_counters(client, machine, server):
    _say(machine, server)
    (flow,) = client.flows()
    assert (flow.machine, flow.peer_port, flow.sent) == (
        "192.168.65.3", server.getsockname()[1], 5,
    )  # fmt: skip
    (link,) = client.links()
    assert (link.name, link.macs, link.flows, link.sent) == ("web", ("02:00:00:00:00:01",), 1, 5)
    assert client.stats().gauges["flows_udp"] == 1
    assert client.stats().counters["frames"] == link.frames == 1


def test_places_where_machines_connect(network, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with serving(network, Path("c.sock"), name="test", listens=("stdio",)):
        client = Client(Path("c.sock"), timeout_s=60)
        place = client.add_link(f"qemu:{tmp_path}/b.sock")
        assert client.info().listens == ("stdio", place)
        with pytest.raises(ControlError, match="in use"):
            client.add_link(place)
        client.remove_link(place)
        assert client.info().listens == ("stdio",)
        client.add_link(place)
    assert list(tmp_path.iterdir()) == []


def test_links_that_go(client, network, machine, server):
    _say(machine, server)
    network.unplug(machine.plug)
    assert client.links() == ()
    assert client.flows() == ()


def test_machines_go_with_their_lost_links(client, network, machine, server):
    """Or the next one would not be the only machine any more, which forwards lead to."""
    _say(machine, server)
    assert network.call(lambda each: len(each.directory.machines)) == 1
    network.call(lambda _: machine.plug.lost("it hung up"))
    assert network.call(lambda each: each.directory.machines) == ()
    assert client.links() == ()


def test_forwards(client, network):
    (made,) = client.expose(Forward(guest_port=80))
    assert network.forwards() == (made,)
    assert client.unexpose(model.Place(port=made.port)) == made
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(ControlError, match=f"process {os.getpid()}") as caught:
            client.expose(Forward(port=taken.getsockname()[1], guest_port=80))
    assert caught.value.status == 409


def test_names_are_answered(client, network, machine):
    client.add_name(model.NameRecord(name="DB.test.", addresses=("192.168.65.9",)))
    (added,) = client.names()
    assert added.name == "db.test"
    question = dns.Question(dns.parse_name("db.test"), dns.Type.A)
    message = dns.Message(7, questions=(question,))
    machine.send(message.emit(), GATEWAY, 53)
    while not machine.datagrams:
        client.info()
    answer = dns.Message.parse(machine.datagrams[0])
    assert [each.data for each in answer.answers] == [bytes([192, 168, 65, 9])]
    client.remove_name("db.TEST")
    assert client.names() == ()


@pytest.mark.parametrize("addresses", [(), ("web",), ("192.168.65.9", "1")])
def test_names_without_addresses(client, addresses):
    with pytest.raises(UsageError):
        client.add_name(model.NameRecord(name="db.test", addresses=addresses))
    assert client.names() == ()


def test_names_that_are_none(client):
    with pytest.raises(UsageError):
        client.add_name(model.NameRecord(name="a..b", addresses=("192.168.65.9",)))
    with pytest.raises(ControlError, match="was not added"):
        client.remove_name("other")


def test_policy_holds_at_once(client, machine, server):
    client.replace_policy({"default": "deny"})
    machine.send(b"hello", HOST, server.getsockname()[1])
    while not any(each.kind == "flow.refused" for each in client.events(model.EventsAsked())):
        pass
    assert client.policy().default == "deny"
    client.replace_policy({"default": "allow"})
    _say(machine, server)


def test_events(client, machine, server):
    following = client.events(model.EventsAsked(follow=True, kind="flow"))
    _say(machine, server)
    event = next(following)
    assert (event.kind, event.data["kind"]) == ("flow.opened", "udp")
    following.close()
    assert client.info().name == "test"


def test_reservations(client, network):
    (first,) = client.reservations()
    assert (first.mac, first.name) == ("02:00:00:00:00:01", "web")
    kept = client.reserve(model.Reservation(mac="02:00:00:00:00:09", name="db"))
    assert kept.address.startswith("192.168.65.")
    (forward,) = client.expose(Forward(guest="db", guest_port=80))
    client.unexpose(model.Place(port=forward.port))
    client.end_reservation(kept.mac)
    with pytest.raises(ControlError, match="nothing is reserved"):
        client.end_reservation(kept.mac)
    for address in ("10.0.0.1", "192.168.65.1", "192.168.65.254", "192.168.65.3", "x"):
        with pytest.raises(UsageError, match=address):
            client.reserve(model.Reservation(mac="02:00:00:00:00:09", address=address))


def test_leases(client):
    assert client.leases() == ()


def test_shutdown(network, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stopped: list[int] = []
    with serving(network, Path("c.sock"), name="a", stop=lambda: stopped.append(1)):
        Client(Path("c.sock")).shutdown()
    assert stopped == [1]
    assert not Path("c.sock").exists()


def test_a_network_that_ends_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network = UserNetwork(Settings(hosts_files=()))
    with serving(network, Path("c.sock"), name="a"):
        network.close()


def test_a_place_that_is_taken(network, client):
    with pytest.raises(SampanError, match="listens at"), serving(network, Path("c.sock"), name="b"):
        pass
    assert client.info().name == "test"
