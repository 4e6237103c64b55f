"""Connections to servers of this machine, without a host; whole ones are in test_forwarder.py."""

import socket

import pytest

from sampan.guest.tool import connection, mux
from sampan.guest.tool.connection import READ, WRITE, DatagramConnection
from sampan.guest.tool.mux import Mux
from sampan.net.link import multiplex
from sampan.net.link.multiplex import Destination, Protocol


@pytest.fixture
def told():
    """The machine's side, and what the host says to it."""
    made = Mux()

    def told(*frames):
        return made.received(b"".join(map(multiplex.emit, frames)))

    made.received(multiplex.greeting())
    return made, told


@pytest.fixture
def channel(told):
    """One that the host opened, with room for 100 bytes."""
    made, say = told
    say(
        multiplex.Open(5, Destination(Protocol.TCP, bytes([127, 0, 0, 1]), 80)),
        multiplex.Window(5, 100),
    )
    made.unsent.clear()
    return made


def test_datagrams_larger_than_there_is_room_for(channel, told):
    """The rest follows when there is room, before anything else is read."""
    _, say = told
    ours, server = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, server:
        ours.setblocking(False)
        made = DatagramConnection(channel, 5, ours)
        server.send(bytes(150))
        server.send(b"next")
        assert made.wanted() == READ
        made.ready(READ)
        assert made.wanted() == 0
        say(multiplex.Window(5, 1000))
        made.write()
        assert made.wanted() == READ
        made.ready(READ)
        decoder = multiplex.Decoder()
        frames = decoder.received(multiplex.greeting() + bytes(channel.unsent))
        sent = b"".join(each.payload for each in frames)
        assert sent == (
            (160).to_bytes(2, "little") + bytes(6) + (150).to_bytes(2, "little") + bytes(150)
            + (14).to_bytes(2, "little") + bytes(6) + (4).to_bytes(2, "little") + b"next"
        )  # fmt: skip


def test_a_server_is_read_when_it_is_there_and_the_host_takes_it(channel):
    with socket.create_server(("127.0.0.1", 0)) as server:
        to = mux.Destination(mux.TCP, bytes([127, 0, 0, 1]), server.getsockname()[1])
        made = connection.opened(channel, 5, to)
        with made.server:
            assert made.wanted() == WRITE  # it is being connected
            made.ready(WRITE)
            assert made.wanted() == READ
            channel.send(5, bytes(100))
            assert made.wanted() == 0


def test_what_leads_nowhere(channel, tmp_path):
    to = mux.Destination(mux.UNIX, path=bytes(tmp_path / "nobody"))
    with pytest.raises(FileNotFoundError):
        connection.opened(channel, 5, to)


def test_addresses():
    six = mux.Destination(1, bytes(15) + b"\1", 80)
    assert connection._address(six) == ("::1", 80)
    with connection._socket(six) as made:
        assert made.family == socket.AF_INET6
