import socket
from types import SimpleNamespace

import pytest

from sampan.net.core.endpoint import Endpoint
from sampan.net.core.event import Refusal
from sampan.net.runtime.view import flowtable
from sampan.net.runtime.view.eventlog import EventLog
from sampan.net.runtime.view.flowtable import FlowTable, Kind
from sampan.net.wire.icmpv4 import Echo
from sampan.net.wire.ipv4 import Protocol

MACHINE = bytes([192, 168, 65, 3])
OUTSIDE = bytes([93, 184, 216, 34])


@pytest.fixture
def events():
    return EventLog(lambda: 1000.0)


@pytest.fixture
def table(net, events):
    return FlowTable(
        net.engine,
        lambda: 1000.0,
        names=lambda machine, address: ("example.com",) if address == OUTSIDE else (),
        machine_name=lambda address: "web" if address == MACHINE else "",
        events=events,
    )


@pytest.fixture
def server(net):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def connect(net, server, host):
    connection = net.machine.connect(Endpoint(host, server.getsockname()[1]))
    net.until(lambda: connection.state == "open")
    peer, _ = server.accept()
    net.closing.append(peer.close)
    return connection, peer


def ping(net, payload=b"12345678", to=OUTSIDE):
    """A ping that does not leave: nothing outside is touched by tests."""
    net.outbound.gates.echo[:] = [lambda request: Refusal.PROHIBITED]
    net.machine.packet(Protocol.ICMP, Echo(False, 1, 1, payload).emit(), MACHINE, to)


def kinds(events):
    return [each.kind for each in events.after()]


def test_a_connection(net, table, server, host_address):
    connection, peer = connect(net, server, host_address)
    connection.send(b"hello")
    peer.sendall(b"hi")
    net.until(lambda: connection.data == b"hi" and peer.recv(5) == b"hello")
    [record] = table.records()
    assert (record.id, record.kind, record.state) == (1, Kind.TCP, "established")
    assert (record.machine, record.machine_port) == ("192.168.65.3", connection.own.port)
    assert (record.peer, record.peer_port) == ("192.168.65.254", connection.remote.port)
    assert (record.machine_name, record.names) == ("web", ())
    assert (record.sent, record.received) == (5, 2)
    assert (record.opened_s, record.link) == (1000.0, net.machine.plug.name)
    net.advance(7)
    assert table.records()[0].idle_s >= 7
    assert table.records()[0].age_s >= 7


def test_names_are_those_that_led_a_machine_there(net, events, server, host_address):
    known = ["then.example"]
    table = FlowTable(net.engine, lambda: 1000.0, names=lambda *_: tuple(known), events=events)
    connection, _ = connect(net, server, host_address)
    known[:] = ["later.example"]
    assert table.records()[0].names == ("then.example",)
    connection.reset()
    assert [each.data.names for each in events.after()] == [("then.example",)] * 2


def test_a_connection_that_ends(net, table, server, events, host_address):
    connection, peer = connect(net, server, host_address)
    peer.close()
    connection.finish()
    net.until(lambda: not table.records())
    [record] = table.over()
    assert (record.state, record.reason) == ("over", "")
    assert kinds(events) == ["flow.opened", "flow.closed"]
    assert events.after()[1].data == record


def test_a_connection_that_is_reset(net, table, server, host_address):
    connection, _ = connect(net, server, host_address)
    connection.reset()
    assert table.records() == []
    assert table.over()[0].reason == "reset by the machine"


def test_a_connection_from_the_host_is_a_forward(net, table):
    net.machine.listening.add(80)
    flow = net.engine.stack.open(Endpoint(MACHINE, 80), Endpoint(OUTSIDE, 5), net.now())
    net.until(table.records)
    assert flow is not None
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as client:
            flow.context = SimpleNamespace(socket=server.accept()[0])
            [record] = table.records()
            assert (record.kind, record.pid) == (Kind.FORWARD, 0)
            assert record.host == f"127.0.0.1:{client.getsockname()[1]}"
            flow.context.socket.close()


def test_what_was_refused_is_swept_out(net, table, events):
    net.outbound.gates.flow.append(lambda flow: Refusal.REFUSED)
    net.machine.connect(Endpoint(OUTSIDE, 81))
    assert table.records() == []
    assert table.over()[0].names == ("example.com",)
    assert table.over()[0].reason == "refused or reset"


def test_a_refusal_is_noted_with_what_refused(net, table, events):
    def gate(flow):
        table.refused(flow, "rule: no web")
        return Refusal.PROHIBITED

    net.outbound.gates.flow.append(gate)
    net.machine.connect(Endpoint(OUTSIDE, 81))
    [record] = table.over()
    assert (record.verdict, record.reason) == ("rule: no web", "refused")
    assert kinds(events) == ["flow.opened", "flow.refused"]


def test_datagrams(net, table, host_address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.settimeout(60)
        net.machine.udp(b"question", Endpoint(host_address, peer.getsockname()[1]))
        assert table.records()[0].state == "asked"
        _, source = peer.recvfrom(100)
        peer.sendto(b"answer!", source)
        net.until(lambda: net.machine.datagrams)
    [record] = table.records()
    assert (record.kind, record.state, record.sent, record.received) == (Kind.UDP, "answered", 8, 7)
    [flow] = net.engine.stack.udp_flows
    assert table.number(flow) == record.id
    assert table.record(flow).sent == 8
    net.advance(1000)
    net.until(lambda: not table.records())
    assert table.record(flow) is None
    assert table.number(flow) == 0


def test_pings_are_one_for_each_address(net, table):
    ping(net)
    ping(net)
    [record] = table.records()
    assert (record.kind, record.peer, record.sent) == (Kind.ICMP, "93.184.216.34", 16)
    net.advance(flowtable.PING_IDLE_S + 1)
    assert table.records() == []


def test_bounds(net, table, monkeypatch):
    monkeypatch.setattr(flowtable, "MAX_OVER", 4)
    net.outbound.gates.flow.append(lambda flow: Refusal.REFUSED)
    for number in range(2000):
        net.machine.connect(Endpoint(OUTSIDE, 1 + number))
    assert len(table._rows) < 300
    assert len(table.over()) <= 256
    monkeypatch.setattr(flowtable, "MAX_PINGS", 3)
    for last in range(10):
        ping(net, b"", bytes([93, 184, 216, last]))
    assert [each.peer for each in table.records()][-1] == "93.184.216.9"
    assert len(table.records()) == 3
