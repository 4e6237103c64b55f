"""A whole network, turned by hand."""

import socket

import pytest

from sampan.base.loop import Loop
from sampan.errors import DocumentError, UsageError
from sampan.net import hook
from sampan.net.runtime.assembly import Assembly
from sampan.net.runtime.attach.memory import MemoryLink
from sampan.net.runtime.view.policyfile import LOOK_EVERY_S
from sampan.net.services import policy
from sampan.net.services.forward import Forward
from sampan.net.services.proxy import Settings as ProxySettings
from sampan.net.setting import Fixed, Settings
from sampan.net.wire.address import parse_ip
from sampan.net.wire.dns import Message, Question, Record, ResponseCode, Type, parse_name
from sampan.net.wire.ethernet import EtherType, Frame
from sampan.net.wire.ipv4 import Ipv4, Protocol
from sampan.net.wire.ipv6 import Ipv6
from sampan.net.wire.udp import Udp


@pytest.fixture
def make():
    made = []

    def assembly(**fields):
        made.append(Assembly(Loop(), Settings(**fields)))
        return made[-1]

    yield assembly
    for each in made:
        each.close()
        each.engine.loop.close()


def test_forwards_of_the_settings_listen(make):
    (forward,) = make(forwards=(Forward(guest_port=80),)).forwards()
    with socket.create_connection((forward.bind, forward.port)):
        pass


def test_forwards_come_and_go(make):
    network = make()
    forward = network.expose(Forward(guest_port=80))
    assert network.unexpose(forward) == forward
    assert network.forwards() == ()


def test_a_machine_with_a_fixed_address_is_known_beforehand(make):
    network = make(fixed=(Fixed(mac="02:00:00:00:00:01", address="192.168.65.9"),))
    assert network.directory.find("") == parse_ip("192.168.65.9")


def test_links(make):
    network = make()
    plug = network.plug(MemoryLink(lambda _: None), name="a")
    assert list(network.engine.plugs.values()) == [plug]
    network.unplug(plug)
    assert not network.engine.plugs


def test_settings_that_make_no_sense():
    loop = Loop()
    with pytest.raises(UsageError):
        Assembly(loop, Settings(mtu=1))
    loop.close()


class Station:
    """A machine in memory that asks the network's services, turn by turn."""

    def __init__(self, network, mac=b"\2\0\0\0\0\1", ip="192.168.65.3"):
        self.network = network
        self.mac, self.ip = mac, parse_ip(ip)
        self.frames: list[bytes] = []
        self.link = MemoryLink(self.frames.extend)
        network.plug(self.link, name="station")

    def ask(self, port, payload):
        """What the gateway answers to a datagram."""
        gateway = self.network.addresses.gateway
        datagram = Udp(40000, port, payload).emit(self.ip, gateway)
        asked = Ipv4(self.ip, gateway, Protocol.UDP, datagram).emit()
        mac = self.network.engine.stack.network.mac
        self.link.give(Frame(mac, self.mac, EtherType.IPV4, asked).emit())
        for _ in range(100):
            self.network.engine.loop.run_once(0.05)
            for data in self.frames:
                frame = Frame.parse(data)
                if frame.ethertype == EtherType.IPV4:
                    packet = Ipv4.parse(frame.payload)
                    return Udp.parse(packet.payload, packet.source, packet.destination).payload
        raise AssertionError("no answer")


def test_the_hosts_time_is_told(make):
    network = make()
    answer = Station(network).ask(123, bytes([0x23]) + bytes(47))
    assert answer[1] == 10


def test_the_policy_holds_for_names(make):
    rules = policy.parse({"rules": [{"deny": "*.example"}]})
    query = Message(7, (Question(parse_name("a.example"), Type.A),)).emit()
    answer = Message.parse(Station(make(policy=rules)).ask(53, query))
    assert answer.code == ResponseCode.REFUSED


def test_requests_are_followed_if_wanted(make, tmp_path):
    assert make().http is None
    network = make(har_file=tmp_path / "x.har")
    assert network.outbound.watch_flow == network.show_http().watch


def test_the_hosts_proxy_stands_behind_hooks(make):
    @hook.on_flow
    def nothing(flow):
        return None

    network = make(proxy=ProxySettings.parse("http://127.0.0.1:1", "", ""))
    network.hooks.add(nothing)
    assert network.outbound.gates.detour[1] == network.proxy.detour


def test_a_policy_file_holds_as_it_changes(make, tmp_path):
    path = tmp_path / "policy.yml"
    path.write_text("default: deny\n")
    network = make(policy_file=path)
    assert not network.egress.policy.default_allow
    path.write_text("default: allow # now\n")
    loop, now = network.engine.loop, network.engine.loop.now()
    loop.now = lambda: now + LOOK_EVERY_S + 1
    loop.run_once(0)
    assert network.egress.policy.default_allow
    assert [each.kind for each in network.events.after()] == ["policy.replaced"]


def test_a_policy_file_with_faults_is_no_network(make, tmp_path):
    path = tmp_path / "policy.yml"
    path.write_text("default: perhaps\n")
    with pytest.raises(DocumentError, match=r"policy\.yml:1:1"):
        make(policy_file=path)


HOST_QUERY = Message(7, (Question(parse_name("host.sampan.internal"), Type.A),))
STRANGER = parse_ip("fdc0:a841:6500::77")


def test_names_are_known_to_a_machine_whatever_family_it_goes_by(make):
    network = make()
    station = Station(network)
    station.ask(53, HOST_QUERY.emit())
    six, gateway = parse_ip("fdc0:a841:6500::5"), parse_ip("fdc0:a841:6500::1")
    packet = Ipv6(six, gateway, Protocol.UDP, Udp(1, 123, b"").emit(six, gateway))
    mac = network.engine.stack.network.mac
    station.link.give(Frame(mac, station.mac, EtherType.IPV6, packet.emit()).emit())
    network.engine.loop.run_once(0)
    host = parse_ip("192.168.65.254")
    assert network.aliases.names(six, host, 0) == ("host.sampan.internal",)
    assert network.aliases.names(STRANGER, host, 0) == ()
    (plug,) = network.engine.plugs.values()
    network.unplug(plug)
    assert len(network.aliases) == 0


def test_who_is_not_there_is_forgotten_when_there_are_many(make):
    network = make()
    answer = Message(7, answers=(Record(HOST_QUERY.questions[0].name, Type.A, 9, STRANGER[:4]),))
    network.aliases.learn(STRANGER, HOST_QUERY.questions[0], answer, 0)
    network.dns._many = 1
    Station(network).ask(53, HOST_QUERY.emit())
    assert len(network.aliases) == 1
    assert network.aliases.names(STRANGER, STRANGER[:4], 0) == ()
