"""Datagrams of the host's programs, and a machine's forwarder that is the pure session."""

import socket

import pytest

from sampan.net.link import multiplex
from sampan.net.link.datagram import Datagram, Decoder
from sampan.net.link.multiplex import Destination
from sampan.net.link.session import Closed
from sampan.net.runtime.forward import channelled
from sampan.net.runtime.forward.channelled import MAX_WAITING
from sampan.net.runtime.forward.datagram import IDLE_S
from sampan.net.services.forward import Forward, Protocol

DNS = Forward(guest_port=53, protocol=Protocol.UDP)


@pytest.fixture
def forward(forwards):
    return forwards.expose(DNS)


@pytest.fixture
def peer(forward):
    made = []

    def make():
        each = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        each.setblocking(False)
        each.connect((forward.bind, forward.port))
        made.append(each)
        return each

    yield make
    for each in made:
        each.close()


def heard(guest, channel):
    """The datagrams that came on a channel."""
    return [each.payload for each in Decoder().received(bytes(guest.data[channel]))]


def received(guest, peer):
    """The next datagram of a peer."""
    found = []

    def came():
        try:
            found.append(peer.recv(1 << 16))
        except BlockingIOError:
            return False
        return True

    guest.until(came)
    return found[0]


def test_there_and_back(guest, peer):
    one = peer()
    for payload in (b"ask", b"", bytes(20_000)):
        one.send(payload)
    channel = guest.channel()
    guest.until(lambda: heard(guest, channel) == [b"ask", b"", bytes(20_000)])
    assert guest.destinations == [Destination(multiplex.Protocol.UDP, bytes([127, 0, 0, 1]), 53)]
    for payload in (b"answer", b""):
        guest.send_all(channel, Datagram(payload).emit())
        assert received(guest, one) == payload


def test_every_peer_has_its_channel(guest, peer):
    one, other = peer(), peer()
    one.send(b"1")
    first = guest.channel()
    other.send(b"2")
    second = guest.channel(1)
    guest.send_all(second, Datagram(b"for the second").emit())
    guest.send_all(first, Datagram(b"for the first").emit())
    assert received(guest, one) == b"for the first"
    assert received(guest, other) == b"for the second"


def test_a_channel_that_takes_nothing_loses_datagrams_and_nothing_else(net, guest, peer):
    """A window and what waits are whole datagrams again when it takes something."""
    one = peer()
    one.send(b"first")
    channel = guest.channel()
    sent = [bytes([number]) * 9000 for number in range(40)]
    for each in sent:
        one.send(each)
        net.loop.run_once(0)
    guest.until(lambda: len(guest.data[channel]) == multiplex.WINDOW)

    consumed = 0

    def consume():
        nonlocal consumed
        fresh = len(guest.data[channel]) - consumed
        consumed += fresh
        guest.session.consumed(channel, fresh)
        return len(heard(guest, channel)) > MAX_WAITING // 9020

    guest.until(consume)
    found = heard(guest, channel)
    assert found == [b"first", *sent][: len(found)]
    assert len(found) < len(sent)


@pytest.mark.parametrize("how", ["close", "finish", "garbage"])
def test_a_machine_that_ends_a_channel(guest, peer, how):
    one = peer()
    one.send(b"first")
    channel = guest.channel()
    if how == "close":
        guest.session.close(channel)
    elif how == "finish":
        guest.session.shutdown(channel)
    else:
        guest.send_all(channel, b"\0\0 is no datagram")
    guest.until(lambda: Closed(channel) in guest.events)
    one.send(b"second")
    again = guest.channel(1)
    guest.until(lambda: heard(guest, again) == [b"second"])


def test_idle_sessions_end(net, guest, peer):
    one, other = peer(), peer()
    one.send(b"1")
    first = guest.channel()
    net.advance(IDLE_S * 0.75)
    other.send(b"2")
    guest.channel(1)
    net.advance(IDLE_S * 0.75)
    guest.until(lambda: Closed(first) in guest.events)
    other.send(b"3")
    guest.until(lambda: heard(guest, guest.channels[1]) == [b"2", b"3"])
    assert len(guest.channels) == 2


def test_too_many_sessions(guest, peer, monkeypatch):
    monkeypatch.setattr(channelled, "MAX_SESSIONS", 1)
    one, other = peer(), peer()
    one.send(b"1")
    first = guest.channel()
    other.send(b"2")
    guest.channel(1)
    guest.until(lambda: Closed(first) in guest.events)


def test_closing_ends_sessions(guest, peer, forwards, forward):
    one = peer()
    one.send(b"1")
    channel = guest.channel()
    forwards.unexpose(forward)
    guest.until(lambda: Closed(channel) in guest.events)
    one.send(b"2")
    with pytest.raises(ConnectionRefusedError):  # nobody listens there any more
        one.recv(1)


def test_no_session_to_be_had(net, guest, peer, forward, forwards):
    forwards._line.close()
    one = peer()
    one.send(b"1")
    listening = forwards._table._table[forward]
    listening._ready(0)
    assert not listening._sessions
