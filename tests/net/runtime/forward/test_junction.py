"""Clients of the host, each joined to a channel of a machine's forwarder."""

import socket

import pytest

from sampan.net.link.multiplex import WINDOW
from sampan.net.link.session import Closed, Finished
from sampan.net.runtime.forward.junction import LINGER_S
from sampan.net.services.forward import Forward

PLENTY = bytes(range(251)) * 2000  # several windows, and more than sockets hold when made small


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
