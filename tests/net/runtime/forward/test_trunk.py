"""A session over a socketpair, its peer the pure session."""

import socket
from collections.abc import Callable
from functools import partial

import pytest

from sampan.net.link import multiplex
from sampan.net.link.error import LinkError
from sampan.net.link.multiplex import WINDOW, Destination, Protocol, Window
from sampan.net.link.session import Closed, Finished, Side
from sampan.net.runtime.forward import trunk as module
from sampan.net.runtime.forward.trunk import GREETING_S, Trunk

WEB = Destination(Protocol.TCP, bytes([10, 0, 0, 1]), 80)


class Ear:
    """An end that keeps what it hears, and does what it is told when it hears it."""

    def __init__(self):
        self.data = bytearray()
        self.heard: list[str] = []
        self.when_writable: Callable[[], object] = lambda: None

    def received(self, data):
        self.data += data

    def writable(self):
        self.heard.append("writable")
        self.when_writable()

    def finished(self):
        self.heard.append("finished")

    def closed(self):
        self.heard.append("closed")


@pytest.fixture
def lost():
    return []


@pytest.fixture
def trunk(net, guest, lost):
    made = Trunk(net.loop, guest.theirs, over=lost.append)
    net.closing.append(made.close)
    return made


def test_a_channel_from_its_opening_to_its_end(net, guest, trunk):
    ear = Ear()
    channel = trunk.open(WEB, ear)
    assert guest.channel() == channel
    assert guest.destinations == [WEB]
    guest.until(lambda: ear.heard == ["writable"])
    assert trunk.send(channel, b"ask") == 3
    trunk.shutdown(channel)
    guest.until(lambda: Finished(channel) in guest.events)
    assert guest.data[channel] == b"ask"
    guest.send_all(channel, b"answer")
    guest.session.shutdown(channel)
    guest.session.close(channel)
    guest.until(lambda: "closed" in ear.heard)
    assert ear.data == b"answer"
    assert ear.heard == ["writable", "finished", "closed"]
    guest.until(lambda: guest.session.channels == 0)
    assert trunk.channels == 0


def test_who_closes_hears_nothing_more(net, guest, trunk):
    ear = Ear()
    channel = trunk.open(WEB, ear)
    guest.channel()
    trunk.close_channel(channel)
    guest.until(lambda: Closed(channel) in guest.events)
    net.settle()
    assert "closed" not in ear.heard


def test_the_stream_slows_everybody_down_and_all_get_their_turn(net, guest, trunk, monkeypatch):
    monkeypatch.setattr(module, "MAX_WAITING", 1000)
    ears = [Ear() for _ in range(4)]
    channels = [trunk.open(WEB, ear) for ear in ears]
    guest.until(lambda: all(ear.heard for ear in ears))
    guest.is_reading = False
    guest.theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    sent = dict.fromkeys(channels, 0)
    chunk = bytes(WINDOW)

    def fill(channel):
        sent[channel] += trunk.send(channel, chunk[: WINDOW - sent[channel]])

    for channel, ear in zip(channels, ears, strict=True):
        ear.when_writable = partial(fill, channel)
        fill(channel)
    assert [bool(sent[channel]) for channel in channels] == [True, False, False, False]
    assert trunk.room(channels[0]) == 0
    guest.is_reading = True
    guest.until(lambda: all(len(guest.data[channel]) == WINDOW for channel in channels))


def test_what_the_peer_opens_leads_nowhere(guest, trunk):
    channel = guest.session.open(WEB)
    guest.until(lambda: Closed(channel) in guest.events)
    assert trunk.channels == 0


def test_the_machines_side(net):
    ears = {}

    def accept(channel, destination):
        assert destination == WEB
        ears[channel] = Ear()
        return ears[channel]

    left, right = socket.socketpair()
    host, machine = Trunk(net.loop, left), Trunk(net.loop, right, Side.MACHINE, accept=accept)
    net.closing += [host.close, machine.close]
    ear = Ear()
    channel = host.open(WEB, ear)
    net.until(lambda: ear.heard and channel in ears and ears[channel].heard)
    host.send(channel, b"hello")
    net.until(lambda: ears[channel].data == b"hello")


def test_a_fault_of_an_end_costs_its_channel(net, guest, trunk, caplog):
    ear, other = Ear(), Ear()
    ear.when_writable = {}.popitem
    channel, _ = trunk.open(WEB, ear), trunk.open(WEB, other)
    guest.until(lambda: Closed(channel) in guest.events)
    assert "given up" in caplog.text
    assert trunk.channels == 1


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"SSH-2.0", "does not speak"),
        (multiplex.greeting() + b"\7\0\2\1\0\0\0", "not open"),
    ],
    ids=["protocol", "rules"],
)
def test_a_peer_that_is_wrong_ends_the_session(net, guest, trunk, lost, said, why):
    ear = Ear()
    trunk.open(WEB, ear)
    guest.stream.send(said)
    net.until(lambda: trunk.is_over)
    [error] = lost
    assert why in str(error)
    assert ear.heard == ["closed"]
    with pytest.raises(LinkError, match="is over"):
        trunk.open(WEB, ear)


def test_a_stream_that_ends_ends_the_session(net, guest, trunk, lost):
    ear = Ear()
    trunk.open(WEB, ear)
    guest.channel()
    guest.close()
    net.until(lambda: trunk.is_over)
    assert "ended" in str(lost[0]) or "broke" in str(lost[0])
    assert ear.heard[-1] == "closed"


def test_a_stream_that_breaks_while_it_is_written_to(net, guest, trunk, lost):
    trunk.open(WEB, Ear())
    guest.channel()
    guest.theirs.shutdown(socket.SHUT_WR)
    trunk.open(WEB, Ear())
    net.until(lambda: trunk.is_over)
    assert "broke" in str(lost[0])


def test_a_peer_that_does_not_greet(net, guest, trunk, lost):
    net.settle()
    net.advance(GREETING_S + 1)
    assert "speaks VPNKit's protocol" in str(lost[0])
    assert trunk.is_over


def test_a_peer_that_has_greeted_may_be_silent(net, guest, trunk):
    trunk.open(WEB, Ear())
    guest.channel()
    net.settle()
    net.advance(GREETING_S + 1)
    assert not trunk.is_over


def test_closing_is_not_losing(net, trunk, lost):
    ear = Ear()
    channel = trunk.open(WEB, ear)
    trunk.close()
    trunk.close()
    net.settle()
    assert ear.heard == ["closed"]
    assert lost == []
    assert trunk.send(channel, b"x") == 0
    trunk.close_channel(channel)


def test_frames_in_pieces(net, guest, trunk):
    ear = Ear()
    channel = trunk.open(WEB, ear)
    said = multiplex.greeting() + multiplex.emit(Window(channel, 10))
    for byte in said:
        guest.stream.send(bytes([byte]))
        net.loop.run_once(0.0)
    net.until(lambda: ear.heard == ["writable"])
    assert trunk.room(channel) == 10
