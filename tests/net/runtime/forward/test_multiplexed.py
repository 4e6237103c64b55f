"""Forwards through a machine's forwarder, which is the pure session here."""

import pytest

from sampan.errors import UsageError
from sampan.net.link import multiplex
from sampan.net.link.error import LinkError
from sampan.net.link.multiplex import Destination
from sampan.net.runtime.forward.binding import PortTakenError
from sampan.net.runtime.forward.line import Dialled, Held
from sampan.net.runtime.forward.multiplexed import MultiplexedForwards, destination_of
from sampan.net.runtime.forward.table import NoSuchForwardError
from sampan.net.services.forward import Forward, Protocol

DOCKER = Destination(multiplex.Protocol.UNIX, path=b"/var/run/docker.sock")


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


def test_too_many_connections(net, guest, forwards, connect, monkeypatch):
    monkeypatch.setattr(forwards._line._trunk._session, "_max_channels", 1)
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
    line = Held(net.loop, guest.theirs)
    MultiplexedForwards(net.loop, line)
    guest.close()
    net.until(lambda: line.is_over)


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
        (Forward(guest_port=53, protocol=Protocol.UDP), DOCKER, "datagrams only"),
        (
            Forward(guest_port=53),
            Destination(multiplex.Protocol.UDP, bytes(4), 53),
            "datagrams only",
        ),
        (Forward(guest_port=80, guest="web"), None, "not an address"),
    ],
    ids=["from udp", "to udp", "name"],
)
def test_what_a_forwarder_cannot_do(forwards, forward, destination, why):
    with pytest.raises(UsageError, match=why):
        forwards.expose(forward, destination)
    assert forwards.forwards == ()


def test_destinations():
    six = destination_of(Forward(guest_port=80, guest="::1"))
    assert (six.address, six.port) == (bytes(15) + b"\1", 80)
    dns = destination_of(Forward(guest_port=53, protocol=Protocol.UDP))
    assert dns == Destination(multiplex.Protocol.UDP, bytes([127, 0, 0, 1]), 53)


def test_a_line_that_is_dialled(net, guest, reach):
    """Each connection has its session, which is made for the first."""
    dialled = []

    def dial():
        dialled.append(guest.theirs)
        return guest.theirs

    forwards = MultiplexedForwards(net.loop, Dialled(net.loop, dial))
    net.closing.append(forwards.close)
    forward = forwards.expose(Forward(guest_port=80))
    for number in range(2):
        reach(forward).socket.send(b"ask")
        channel = guest.channel(number)
        guest.until(lambda channel=channel: guest.data[channel] == b"ask")
    assert len(dialled) == 1


def test_nobody_to_dial(net, guest, reach):
    line = Dialled(net.loop, lambda: guest.theirs)
    forwards = MultiplexedForwards(net.loop, line)
    net.closing.append(forwards.close)
    forward = forwards.expose(Forward(guest_port=80))
    line.close()
    with pytest.raises(ConnectionResetError):
        reach(forward).ended()
    with pytest.raises(LinkError, match="forwarder is gone"):
        forwards.expose(Forward(guest_port=81))
