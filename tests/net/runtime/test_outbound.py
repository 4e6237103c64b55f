import socket

import pytest

from sampan.net.core.endpoint import Endpoint
from sampan.net.core.event import Refusal
from sampan.net.runtime import outbound
from sampan.net.runtime.host.route import HostAccess, Target
from sampan.net.services.gateway import Protocol

OUTSIDE = Endpoint(bytes([93, 184, 216, 34]), 80)
NOWHERE = Endpoint(bytes([127, 0, 0, 1]), 80)


class Deaf:
    """A talk that says nothing."""

    def received(self, data):
        pass

    def finished(self):
        pass

    def gone(self):
        pass


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(60)
        yield made


@pytest.fixture
def remote(listener, host_address):
    return Endpoint(host_address, listener.getsockname()[1])


def codes(net):
    net.settle()
    return [each.code for each in net.machine.unreachable]


def test_services_come_before_everything(net, remote):
    served = []

    def begin(conversation):
        served.append(conversation.flow.remote)
        return Deaf()

    net.outbound.serve(remote, begin)
    net.outbound.gates.flow.append(lambda flow: Refusal.PROHIBITED)
    connection = net.machine.connect(remote)
    net.until(lambda: connection.state == "open")
    assert served == [remote]


def test_a_link_has_a_share_of_the_services(net, remote, monkeypatch):
    monkeypatch.setattr(outbound, "MAX_TALKS", 2)
    net.outbound.serve(remote, lambda _: Deaf())
    first, second, third = (net.machine.connect(remote) for _ in range(3))
    net.until(lambda: third.state == "refused")
    assert first.state == second.state == "open"
    assert net.add(bytes([192, 168, 65, 9])).connect(remote).state == "opening"
    first.reset()
    net.settle()
    again = net.machine.connect(remote)
    net.until(lambda: again.state == "open")


def test_gates_may_refuse(net, remote):
    asked = []

    def gate(flow):
        asked.append(flow.remote)
        return Refusal.PROHIBITED if len(asked) > 1 else None

    net.outbound.gates.flow.append(gate)
    net.outbound.gates.udp.append(lambda flow: Refusal.REFUSED)
    net.outbound.gates.echo.append(lambda request: Refusal.NETWORK_UNREACHABLE)
    allowed = net.machine.connect(remote)
    net.until(lambda: allowed.state == "open")
    net.machine.connect(remote)
    net.machine.udp(b"x", remote)
    net.machine.ping(OUTSIDE.address)
    assert codes(net) == [13, 3, 0]


def test_a_detour_takes_flows_elsewhere(net, listener):
    def detour(flow, target, now):
        assert target.address == "93.184.216.34"
        loopback = target._replace(address="127.0.0.1")
        net.outbound.connect(flow, loopback, listener.getsockname()[1], now)
        return True

    net.outbound.gates.detour += [lambda flow, target, now: False, detour]
    connection = net.machine.connect(OUTSIDE)
    net.until(lambda: connection.state == "open")
    listener.accept()[0].close()


def test_what_leads_nowhere(net):
    connection = net.machine.connect(NOWHERE)
    net.machine.udp(b"x", NOWHERE)
    net.machine.ping(NOWHERE.address)
    assert codes(net) == [3, 1]
    assert connection.state == "refused"


def test_a_server_of_the_host_is_met_by_either_of_the_hosts_addresses(net, listener, remote):
    def detour(flow, target, now):
        net.outbound.connect(flow, Target(socket.AF_INET6, "::1"), remote.port, now)
        return True

    net.outbound.gates.detour.append(detour)
    connection = net.machine.connect(remote)
    net.until(lambda: connection.state == "open")
    listener.accept()[0].close()


def test_the_host_is_closed_to_machines_if_it_is_so_wished(net, remote):
    net.router.access = HostAccess.NONE
    connection = net.machine.connect(remote)
    net.settle()
    assert connection.state == "refused"


def test_datagrams_for_somebody_in_this_process(net):
    taken = []
    net.outbound.serve_datagrams(OUTSIDE, lambda flow, now: taken.extend(flow.datagrams()))
    net.machine.udp(b"one", OUTSIDE)
    assert taken == [b"one"]
    net.outbound.serve_datagrams(OUTSIDE, None)
    net.outbound.serve_datagrams(OUTSIDE, None)
    net.outbound.gates.udp.append(lambda flow: Refusal.REFUSED)
    net.machine.udp(b"two", OUTSIDE)
    assert taken == [b"one"]
    assert codes(net) == [3]


def test_gates_are_not_asked_about_each_datagram_that_is_refused(net, remote):
    asked = []

    def gate(flow):
        asked.append(flow)
        return Refusal.PROHIBITED if len(asked) < 3 else None

    net.outbound.gates.udp.append(gate)
    for _ in range(3):
        net.machine.udp(b"x", remote, port=5000)
    assert codes(net) == [13, 13, 13]
    assert len(asked) == 1
    net.advance(outbound.REFUSED_S)
    net.machine.udp(b"x", remote, port=5000)
    assert len(asked) == 2
    net.advance(outbound.REFUSED_S)
    net.machine.udp(b"x", remote, port=5000)
    assert len(asked) == 3
    assert codes(net)[3] == 13


def test_gates_whose_rules_changed_are_asked_at_once(net, remote):
    asked = []

    def gate(flow):
        asked.append(flow)
        return Refusal.PROHIBITED

    net.outbound.gates.udp.append(gate)
    net.machine.udp(b"x", remote, port=5000)
    net.outbound.rules_changed()
    net.machine.udp(b"x", remote, port=5000)
    assert len(asked) == 2


def test_ports_of_ours_that_lead_to_the_host(net, listener):
    gateway = net.network.gateway
    target = Target(socket.AF_INET, "127.0.0.1")
    port = listener.getsockname()[1]
    net.outbound.lead(Endpoint(gateway, 8080), Protocol.TCP, target, port)
    refused = net.machine.connect(Endpoint(gateway, 8081))
    connection = net.machine.connect(Endpoint(gateway, 8080))
    net.until(lambda: connection.state == "open" and refused.state == "refused")
    peer, _ = listener.accept()
    with peer:
        peer.send(b"hello")
        net.until(lambda: connection.data == b"hello")


def test_datagrams_to_ports_of_ours_that_lead_to_the_host(net):
    gateway = net.network.gateway
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(60)
        target, port = Target(socket.AF_INET, "127.0.0.1"), server.getsockname()[1]
        net.outbound.lead(Endpoint(gateway, 9), Protocol.UDP, target, port)
        net.machine.udp(b"question", Endpoint(gateway, 9))
        data, peer = server.recvfrom(100)
        assert data == b"question"
        server.sendto(b"answer", peer)
        net.until(lambda: net.machine.datagrams)
    assert net.machine.datagrams[0].payload == b"answer"
    assert net.machine.datagrams[0].source == Endpoint(gateway, 9)
    net.machine.udp(b"x", Endpoint(gateway, 10))
    assert codes(net) == [3]
