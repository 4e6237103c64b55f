"""Forwards: from sockets of the host to a machine in memory, and back."""

import socket
from pathlib import Path

import pytest

from sampan.net.link.pcapng import Direction
from sampan.net.runtime.forward import table
from sampan.net.runtime.forward.binding import BindError, PortTakenError
from sampan.net.runtime.forward.table import Forwards, NoSuchForwardError
from sampan.net.services.forward import Forward, Protocol, parse
from sampan.net.wire.ethernet import Frame
from sampan.net.wire.ipv4 import Ipv4
from sampan.net.wire.tcp import Segment


@pytest.fixture
def forwards(net):
    net.machine.listening.add(80)
    made = Forwards(net.outbound, lambda _: net.machine.ip)
    net.closing.append(made.close)
    return made


def client(forward):
    made = socket.create_connection((forward.bind, forward.port))
    made.setblocking(False)
    return made


def receive(net, connection):
    got = bytearray()

    def all_came():
        try:
            data = connection.recv(65536)
        except BlockingIOError:
            return False
        got.extend(data)
        return not data

    net.until(all_came)
    return bytes(got)


def test_it_listens_when_expose_returns(net, forwards):
    forward = forwards.expose(Forward(guest_port=80))
    assert forward.port
    assert forwards.forwards == (forward,)
    with client(forward) as connection:
        connection.send(b"ask")
        net.until(lambda: net.machine.accepted and net.machine.accepted[0].data == b"ask")
        inside = net.machine.accepted[0]
        assert inside.remote.address == net.network.gateway
        inside.send(b"answer").finish()
        assert receive(net, connection) == b"answer"


def test_a_conversation_costs_the_machine_no_more_frames_than_it_must(net, forwards):
    payloads = []

    def see(_, frame, head, direction):
        packet = Ipv4.parse(Frame.parse(b"".join(frame)[head:]).payload)
        if direction is Direction.IN:
            payloads.append(
                Segment.parse(packet.payload, packet.source, packet.destination).payload
            )

    net.machine.ping(net.network.gateway)  # so that it is known where the machine is
    net.settle()
    net.engine.watch_frames(see)
    with client(forwards.expose(Forward(guest_port=80))) as connection:
        connection.send(b"ask")
        net.until(lambda: net.machine.accepted and net.machine.accepted[0].data == b"ask")
        assert payloads == [b"", b"ask"]  # a SYN, and the end of the handshake
        net.machine.accepted[0].send(b"answer")
        net.until(lambda: receivable(connection) == b"answer")
        assert len(payloads) == 2  # that it came will be told with what is said next


def receivable(connection):
    try:
        return connection.recv(65536, socket.MSG_PEEK)
    except BlockingIOError:
        return b""


def test_what_the_machine_refuses_is_reset(net, forwards):
    net.machine.listening.clear()
    with client(forwards.expose(Forward(guest_port=80))) as connection:
        with pytest.raises(ConnectionResetError):
            receive(net, connection)


def test_nobody_is_there(net):
    forwards = Forwards(net.outbound, lambda _: None)
    net.closing.append(forwards.close)
    with client(forwards.expose(Forward(guest_port=80))) as connection:
        with pytest.raises(ConnectionResetError):
            receive(net, connection)


def test_the_machine_is_looked_up_for_every_connection(net):
    asked: list[str] = []
    forwards = Forwards(net.outbound, asked.append)
    net.closing.append(forwards.close)
    (wanted,) = parse("0:web:80")
    forward = forwards.expose(wanted)
    for _ in range(2):
        with client(forward) as connection, pytest.raises(ConnectionResetError):
            receive(net, connection)
    assert asked == ["web", "web"]


def test_a_connection_ends_with_the_network(net, forwards):
    net.engine.unplug(net.machine.plug)
    with client(forwards.expose(Forward(guest_port=80))) as connection:
        net.loop.run_once(1.0)
        assert net.engine.stack.flows
        net.engine.close()
        assert not net.engine.stack.flows
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_half_close_passes_both_ways(net, forwards):
    with client(forwards.expose(Forward(guest_port=80))) as connection:
        connection.send(b"all")
        connection.shutdown(socket.SHUT_WR)
        net.until(lambda: net.machine.accepted and net.machine.accepted[0].is_ended)
        net.machine.accepted[0].send(b"late").finish()
        assert receive(net, connection) == b"late"


def test_a_unix_socket(net, forwards, tmp_path):
    path = tmp_path / "web.sock"
    forward = forwards.expose(Forward(guest_port=80, path=str(path)))
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.setblocking(False)
        connection.send(b"x")
        net.until(lambda: net.machine.accepted and net.machine.accepted[0].data == b"x")
    forwards.unexpose(forward)
    assert not path.exists()


def test_a_file_that_took_the_sockets_place_stays(net, forwards, tmp_path):
    path = tmp_path / "web.sock"
    forward = forwards.expose(Forward(guest_port=80, path=str(path)))
    path.unlink()
    path.write_text("mine")
    forwards.unexpose(forward)
    assert path.read_text() == "mine"


def test_datagrams_there_and_back(net, forwards):
    forward = forwards.expose(Forward(guest_port=53, protocol=Protocol.UDP))
    with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as two:
        for each in (one, two):
            each.connect((forward.bind, forward.port))
            each.setblocking(False)
        one.send(b"one")
        net.until(lambda: _sent(net, one, b"one"))
        two.send(b"two")
        net.until(lambda: {each.payload for each in net.machine.datagrams} >= {b"one", b"two"})
        sources = {each.payload: each.source for each in net.machine.datagrams}
        assert sources[b"one"] != sources[b"two"]
        net.machine.udp(b"for two", sources[b"two"], port=53)
        net.until(lambda: _received(two) == b"for two")
        assert _received(one) is None


def _sent(net, connection, payload):
    """The first datagram to a machine that was not heard yet is lost while it is looked for."""
    if any(each.payload == payload for each in net.machine.datagrams):
        return True
    connection.send(payload)
    return False


def _received(connection):
    try:
        return connection.recv(100)
    except BlockingIOError:
        return None


def test_sessions_of_datagrams_end(net, forwards):
    forward = forwards.expose(Forward(guest_port=53, protocol=Protocol.UDP))
    with socket.socket(type=socket.SOCK_DGRAM) as peer:
        peer.connect((forward.bind, forward.port))
        net.until(lambda: _sent(net, peer, b"x"))
    first = net.machine.datagrams[0].source
    net.advance(1000.0)
    net.machine.udp(b"late", first, port=53)
    net.settle()
    assert net.machine.unreachable


def test_a_port_is_forwarded_once(forwards):
    forward = forwards.expose(Forward(guest_port=80))
    with pytest.raises(PortTakenError, match="forwarded already, to the machine port 80"):
        forwards.expose(Forward(guest_port=81, port=forward.port))
    assert forwards.forwards == (forward,)


def test_removed_while_connections_go_on(net, forwards):
    forward = forwards.expose(Forward(guest_port=80))
    with client(forward) as connection:
        net.until(lambda: net.machine.accepted)
        found = forwards.unexpose(Forward(guest_port=1, port=forward.port))
        assert found == forward
        with pytest.raises(ConnectionRefusedError):
            client(forward)
        connection.send(b"still")
        net.until(lambda: net.machine.accepted[0].data == b"still")


def test_what_is_not_there_cannot_be_removed(forwards):
    with pytest.raises(NoSuchForwardError, match="port 9/udp of 127"):
        forwards.unexpose(Forward(guest_port=1, port=9, protocol=Protocol.UDP))
    with pytest.raises(NoSuchForwardError, match="/tmp/x is not"):
        forwards.unexpose(Forward(guest_port=1, path="/tmp/x"))


def test_there_is_a_bound(forwards, monkeypatch):
    monkeypatch.setattr(table, "MAX_FORWARDS", 1)
    forwards.expose(Forward(guest_port=80))
    with pytest.raises(BindError, match="1 forwards already"):
        forwards.expose(Forward(guest_port=81))


def test_all_end_together(forwards, tmp_path):
    forward = forwards.expose(Forward(guest_port=80))
    forwards.expose(Forward(guest_port=80, path=str(tmp_path / "s")))
    forwards.close()
    assert not Path(tmp_path / "s").exists()
    with pytest.raises(ConnectionRefusedError):
        client(forward)
