"""Messages and descriptors over a socket."""

import os
import socket
from pathlib import Path

import pytest

from sampan.vhost.core.error import RemoteProtocolError
from sampan.vhost.core.message import Request
from sampan.vhost.runtime.channel import Channel


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    yield channel, theirs
    channel.close()
    theirs.close()


def test_messages_come_one_by_one_with_their_descriptors(pair, words):
    channel, peer = pair
    peer.send(words.request(Request.SET_OWNER))
    with Path(os.devnull).open() as file:
        socket.send_fds(
            peer, [words.request(Request.SET_VRING_CALL, words.number(1))], [file.fileno()]
        )
    peer.send(words.request(Request.GET_FEATURES))
    messages = [channel.receive() for _ in range(4)]
    assert [each and each.request for each in messages] == [
        Request.SET_OWNER, Request.SET_VRING_CALL, Request.GET_FEATURES, None,
    ]  # fmt: skip
    [fd] = messages[1].fds
    assert not os.get_inheritable(fd)
    os.close(fd)


def test_a_message_comes_in_pieces(pair, words):
    channel, peer = pair
    data = words.request(Request.SET_FEATURES, words.number(7))
    for byte in data[:-1]:
        peer.send(bytes([byte]))
        assert channel.receive() is None
    peer.send(data[-1:])
    assert channel.receive().number() == 7


def test_the_end(pair):
    channel, peer = pair
    peer.close()
    with pytest.raises(EOFError):
        channel.receive()


def test_descriptors_of_half_a_message_are_closed(pair, words, open_fds):
    channel, peer = pair
    before = open_fds()
    data = words.request(Request.SET_VRING_CALL, words.number(1))
    socket.send_fds(peer, [data[:9]], [peer.fileno()] * 3)
    assert channel.receive() is None
    assert open_fds() == before + 3
    channel.close()
    channel.close()
    assert open_fds() == before - 1


def test_too_many_descriptors(pair, words, open_fds):
    channel, peer = pair
    before = open_fds()
    socket.send_fds(peer, [words.request(Request.SET_OWNER)[:9]], [peer.fileno()] * 100)
    with pytest.raises(RemoteProtocolError, match="more than 8 descriptors"):
        channel.receive()
    channel.close()
    assert open_fds() < before


def test_answers_that_nobody_reads(pair):
    channel, peer = pair
    channel.send(b"answer")
    assert peer.recv(10) == b"answer"
    with pytest.raises(RemoteProtocolError, match="does not read"):
        channel.send(bytes(1 << 24))


def test_a_socket_that_is_full(pair):
    channel, _ = pair
    with pytest.raises(RemoteProtocolError, match="does not read"):
        channel.send(bytes(1 << 24))
    with pytest.raises(RemoteProtocolError, match="does not read"):
        channel.send(b"more")
