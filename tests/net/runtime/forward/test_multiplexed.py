"""Clients of the host, and a machine's forwarder that is the pure session."""

import socket

import pytest

from sampan.errors import UsageError
from sampan.net.link import multiplex
from sampan.net.link.error import LinkError
from sampan.net.link.multiplex import WINDOW, Destination
from sampan.net.link.session import Closed, Finished
from sampan.net.runtime.forward.binding import PortTakenError
from sampan.net.runtime.forward.multiplexed import LINGER_S, MultiplexedForwards, destination_of
from sampan.net.runtime.forward.table import NoSuchForwardError
from sampan.net.services.forward import Forward, Protocol

DOCKER = Destination(multiplex.Protocol.UNIX, path=b"/var/run/docker.sock")
PLENTY = bytes(range(251)) * 2000  # several windows, and more than sockets hold when made small


class Client:
    """A connection to a forward."""

    def __init__(self, guest, address):
        self._guest = guest
        self.socket = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(address)
        self.socket.setblocking(False)
        self.data = bytearray()
        self.is_ended = False

    def poll(self):
        try:
            data = self.socket.recv(1 << 16)
        except BlockingIOError:
            return True
        self.data += data
        self.is_ended = not data
        return True

    def ended(self):
        """All that came until the end."""
        self._guest.until(lambda: self.poll() and self.is_ended)
        return bytes(self.data)

    def send_all(self, data):
        left = memoryview(data)

        def sent():
            nonlocal left
            try:
                left = left[self.socket.send(left) :]
            except BlockingIOError:
                return False
            return not left

        self._guest.until(sent)


@pytest.fixture
def lost():
    return []


@pytest.fixture
def forwards(net, guest, lost):
    made = MultiplexedForwards(net.loop, guest.theirs, over=lost.append)
    net.closing.append(made.close)
    return made


@pytest.fixture
def connect(guest, forwards):
    """Connects to a forward, which it makes if none is given."""
    made = []

    def connect(forward=None):
        forward = forward or forwards.expose(Forward(guest_port=80))
        made.append(Client(guest, forward.path or (forward.bind, forward.port)))
        return made[-1]

    yield connect
    for each in made:
        each.socket.close()


def test_it_listens_when_expose_returns(guest, forwards, connect):
    forward = forwards.expose(Forward(guest_port=80))
    assert forward.port
    assert forwards.forwards == (forward,)
    client = connect(forward)
    client.socket.send(b"ask")
    channel = guest.channel()
    guest.until(lambda: guest.data[channel] == b"ask")
    assert guest.destinations == [Destination(multiplex.Protocol.TCP, bytes([127, 0, 0, 1]), 80)]
    guest.send_all(channel, b"answer")
    guest.session.shutdown(channel)
    assert client.ended() == b"answer"


def test_a_unix_socket_to_a_unix_socket(guest, forwards, connect, tmp_path):
    path = str(tmp_path / "docker.sock")
    forward = forwards.expose(Forward(path=path, guest_port=0), DOCKER)
    connect(forward).socket.send(b"GET /_ping")
    channel = guest.channel()
    guest.until(lambda: guest.data[channel] == b"GET /_ping")
    assert guest.destinations == [DOCKER]
    forwards.unexpose(forward)
    assert not (tmp_path / "docker.sock").exists()


def test_half_close_passes_both_ways(guest, forwards, connect):
    client = connect()
    client.socket.shutdown(socket.SHUT_WR)
    channel = guest.channel()
    guest.until(lambda: Finished(channel) in guest.events)
    guest.send_all(channel, b"late")
    guest.session.shutdown(channel)
    assert client.ended() == b"late"
    guest.until(lambda: Closed(channel) in guest.events)
    assert forwards.connections == guest.session.channels == 0


def test_the_machine_ends_first(guest, forwards, connect):
    client = connect()
    channel = guest.channel()
    guest.session.shutdown(channel)
    assert client.ended() == b""
    client.send_all(b"still")
    guest.until(lambda: guest.data[channel] == b"still")
    client.socket.close()
    guest.until(lambda: Closed(channel) in guest.events)
    assert forwards.connections == 0


def test_a_machine_that_refuses_resets(guest, connect):
    client = connect()
    guest.session.close(guest.channel())
    with pytest.raises(ConnectionResetError):
        client.ended()


def test_a_client_that_resets_closes(guest, connect):
    client = connect()
    channel = guest.channel()
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
    client.socket.close()
    guest.until(lambda: Closed(channel) in guest.events)
    assert Finished(channel) not in guest.events


def test_a_machine_that_does_not_take_it_slows_the_client(net, guest, connect):
    client = connect()
    channel = guest.channel()
    left = memoryview(PLENTY)

    def send():
        nonlocal left
        try:
            left = left[client.socket.send(left) :]
        except BlockingIOError:
            return True
        return not left

    guest.until(lambda: send() and len(guest.data[channel]) == WINDOW)
    net.settle()
    guest.poll()
    assert len(guest.data[channel]) == WINDOW

    def takes():
        send()
        state = guest.session._channels[channel]
        guest.session.consumed(channel, state.received - state.consumed)
        return len(guest.data[channel]) == len(PLENTY)

    guest.until(takes)
    assert guest.data[channel] == PLENTY


@pytest.fixture
def full(net, guest, forwards, connect, tmp_path):
    """A client that reads nothing, its channel, and how much the machine could send."""
    client = connect(forwards.expose(Forward(path=str(tmp_path / "s"), guest_port=80)))
    channel, sent, before = guest.channel(), 0, -1
    guest.until(lambda: guest.session.room(channel))
    while before < sent:
        before = sent
        sent += guest.session.send(channel, PLENTY[sent:])
        guest.poll()
        net.settle()
        guest.poll()
    assert WINDOW < sent < len(PLENTY)
    return client, channel, sent


def test_a_client_that_does_not_read_slows_the_machine_and_nobody_else(guest, connect, full):
    client, channel, sent = full
    assert guest.session.room(channel) == 0
    quick = connect()
    other = guest.channel(1)
    guest.send_all(other, b"for somebody else")
    guest.session.shutdown(other)
    assert quick.ended() == b"for somebody else"
    left = memoryview(PLENTY)[sent:]

    def all_came():
        nonlocal left
        left = left[guest.session.send(channel, left) :]
        return client.poll() and len(client.data) == len(PLENTY)

    guest.until(all_came)
    assert client.data == PLENTY


def test_what_waits_is_given_after_the_machine_closed(guest, forwards, full):
    client, channel, sent = full
    guest.session.shutdown(channel)
    guest.session.close(channel)
    guest.until(lambda: Closed(channel) in guest.events)
    assert forwards.connections == 1
    assert client.ended() == PLENTY[:sent]
    assert forwards.connections == 0


def test_a_client_that_never_takes_what_waits(net, guest, forwards, full):
    client, channel, sent = full
    guest.session.shutdown(channel)
    guest.session.close(channel)
    guest.until(lambda: Closed(channel) in guest.events)
    assert forwards.connections == 1
    net.advance(LINGER_S + 1)
    assert len(client.ended()) < sent  # what the kernel had
    assert forwards.connections == 0


def test_closing_waits_for_nobody(net, guest, forwards, full):
    client, channel, sent = full
    guest.session.close(channel)
    guest.until(lambda: Closed(channel) in guest.events)
    forwards.close()
    assert len(client.ended()) < sent
    assert forwards.connections == 0


def test_too_many_connections(net, guest, forwards, connect, monkeypatch):
    monkeypatch.setattr(forwards._trunk._session, "_max_channels", 1)
    forward = forwards.expose(Forward(guest_port=80))
    connect(forward)
    guest.channel()
    with pytest.raises(ConnectionResetError):
        connect(forward).ended()


@pytest.mark.parametrize("how", ["ends", "raves"])
def test_a_lost_session_ends_everything(net, guest, forwards, connect, lost, how):
    client = connect()
    guest.channel()
    if how == "ends":
        guest.close()
    else:
        guest.raw(b"\0\0garbage")
    net.until(lambda: lost)
    with pytest.raises(ConnectionResetError):
        net.until(lambda: client.poll() and client.is_ended)
    assert forwards.forwards == ()
    with pytest.raises(LinkError, match="forwarder is gone"):
        forwards.expose(Forward(guest_port=80))


def test_closing_ends_everything(net, guest, forwards, connect, lost):
    client = connect()
    guest.channel()
    forwards.close()
    with pytest.raises(ConnectionResetError):
        net.until(lambda: client.poll() and client.is_ended)
    assert lost == []


def test_a_lost_session_tells_nobody_if_nobody_asked(net, guest):
    forwards = MultiplexedForwards(net.loop, guest.theirs)
    guest.close()
    net.until(lambda: forwards._trunk.is_over)


def test_the_place_is_taken(forwards):
    forward = forwards.expose(Forward(guest_port=80))
    with pytest.raises(PortTakenError, match="forwarded already"):
        forwards.expose(forward)
    forwards.unexpose(forward)
    with pytest.raises(NoSuchForwardError):
        forwards.unexpose(forward)


@pytest.mark.parametrize(
    ("forward", "destination", "why"),
    [
        (Forward(guest_port=53, protocol=Protocol.UDP), None, "only TCP"),
        (Forward(guest_port=53), Destination(multiplex.Protocol.UDP, bytes(4), 53), "only TCP"),
        (Forward(guest_port=80, guest="web"), None, "not an address"),
    ],
    ids=["udp", "to udp", "name"],
)
def test_what_a_forwarder_cannot_do(forwards, forward, destination, why):
    with pytest.raises(UsageError, match=why):
        forwards.expose(forward, destination)
    assert forwards.forwards == ()


def test_destinations():
    six = destination_of(Forward(guest_port=80, guest="::1"))
    assert (six.address, six.port) == (bytes(15) + b"\1", 80)
