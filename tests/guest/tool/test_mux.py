"""The machine's side of the protocol against the host's, which is another implementation."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.guest.agent.fault import AgentError
from sampan.guest.tool import mux
from sampan.guest.tool.mux import WINDOW, Mux
from sampan.net.link import multiplex, session
from sampan.net.link.multiplex import Destination, Protocol
from sampan.net.link.session import Session, Side

WEB = Destination(Protocol.TCP, bytes([127, 0, 0, 1]), 80)
SOCKET = Destination(Protocol.UNIX, path=b"/run/x")


class Pair:
    def __init__(self):
        self.host, self.machine = Session(Side.HOST), Mux()

    def exchange(self):
        """Pass on what both have to say; what happened at the host, and at the machine."""
        told, heard = [], []
        while self.host.unsent or self.machine.unsent:
            heard += self.machine.received(self.host.data_to_send())
            said = bytes(self.machine.unsent)
            self.machine.unsent.clear()
            told += self.host.data_received(said)
        return told, heard


@pytest.fixture
def pair():
    made = Pair()
    made.exchange()
    return made


def kinds(events):
    return [each.kind for each in events]


def test_a_conversation(pair):
    channel = pair.host.open(WEB)
    told, heard = pair.exchange()
    assert told == [session.Writable(channel)]
    assert kinds(heard) == ["opened", "room"]
    to = heard[0].destination
    assert (to.protocol, to.address, to.port) == (mux.TCP, bytes([127, 0, 0, 1]), 80)
    pair.host.send(channel, b"ask")
    pair.host.shutdown(channel)
    _, heard = pair.exchange()
    assert [(each.kind, each.data) for each in heard] == [("data", b"ask"), ("finished", b"")]
    pair.machine.send(channel, b"answer")
    pair.machine.shutdown(channel)
    pair.machine.close(channel)
    told, heard = pair.exchange()
    assert told == [
        session.Received(channel, b"answer"), session.Finished(channel), session.Closed(channel),
    ]  # fmt: skip
    assert kinds(heard) == ["closed"]
    assert pair.host.channels == 0


def test_paths_and_long_addresses(pair):
    pair.host.open(SOCKET)
    pair.host.open(Destination(Protocol.UDP, bytes(15) + b"\1", 53))
    opened = [each.destination for each in pair.exchange()[1] if each.destination]
    assert [(to.protocol, to.path, to.port) for to in opened] == [
        (mux.UNIX, b"/run/x", 0),
        (mux.UDP, b"", 53),
    ]


def test_windows_hold_both_sides(pair):
    channel = pair.host.open(WEB)
    pair.exchange()
    assert pair.host.send(channel, bytes(2 * WINDOW)) == WINDOW
    pair.exchange()
    assert pair.host.room(channel) == 0
    pair.machine.consumed(channel, WINDOW)
    assert session.Writable(channel) in pair.exchange()[0]
    assert pair.host.room(channel) == WINDOW
    pair.machine.send(channel, bytes(WINDOW))
    assert pair.machine.room(channel) == 0
    pair.exchange()
    pair.host.consumed(channel, WINDOW)
    assert kinds(pair.exchange()[1]) == ["room"]
    assert pair.machine.room(channel) == WINDOW


def test_what_is_said_to_a_channel_that_is_gone(pair):
    channel = pair.host.open(WEB)
    pair.exchange()
    pair.machine.close(channel)
    pair.machine.close(channel)
    pair.host.send(channel, b"late")
    assert kinds(pair.exchange()[1]) == ["closed"]
    for act in (pair.machine.close, pair.machine.shutdown, pair.machine.room):
        act(channel)
    pair.machine.consumed(channel, 4)
    assert not pair.machine.unsent
    stale = multiplex.emit(multiplex.Data(channel, b"x")) + multiplex.emit(
        multiplex.Window(channel, 9)
    )
    assert pair.machine.received(stale) == []


@pytest.mark.parametrize(
    "frame",
    [
        multiplex.Open(1, WEB, dedicated=True),
        multiplex.Open(7, WEB),
        multiplex.Close(1),
        multiplex.Data(7, bytes(WINDOW)),
    ],
)
def test_rules_that_are_broken(pair, frame):
    pair.machine.received(
        multiplex.emit(multiplex.Open(7, WEB)) + multiplex.emit(multiplex.Data(7, b"x"))
    )
    with pytest.raises(AgentError):
        pair.machine.received(multiplex.emit(frame))


@pytest.mark.parametrize(
    "data",
    [
        b"\3\0\2\0\0\0\0",  # a length below that of a header
        b"\7\0\x09\0\0\0\0",  # a command that is none
        b"\x0b\0\4\0\0\0\0\1\0\1\0",  # more at once than a window
        b"\x0d\0\1\7\0\0\0\2\1\2\0\0\0",  # an address of two bytes
        b"\x08\0\1\7\0\0\0\2",  # no destination
    ],
)
def test_bytes_that_make_no_sense(pair, data):
    with pytest.raises(AgentError):
        pair.machine.received(data)


def test_who_does_not_speak_it():
    with pytest.raises(AgentError, match="does not speak"):
        Mux().received(b"GET / HTTP/1.1\r\n")


def test_answers_that_nobody_reads(pair, monkeypatch):
    monkeypatch.setattr(mux, "MAX_UNSENT", 100)
    opened = b"".join(multiplex.emit(multiplex.Open(channel, WEB)) for channel in range(100))
    with pytest.raises(AgentError, match="does not read them"):
        pair.machine.received(opened)


@settings(max_examples=50)
@given(st.lists(st.integers(1, 40), max_size=30), st.binary(max_size=300))
def test_pieces_make_no_difference(sizes, payload):
    host = Session(Side.HOST)
    channel = host.open(SOCKET)
    host.data_received(multiplex.greeting() + multiplex.emit(multiplex.Window(channel, WINDOW)))
    host.send(channel, payload)
    host.close(channel)
    data, whole, pieces = host.data_to_send(), Mux(), Mux()
    expected = [(each.kind, each.data) for each in whole.received(data)]
    found = []
    for size in (*sizes, len(data)):
        found += [(each.kind, each.data) for each in pieces.received(data[:size])]
        data = data[size:]
    assert found == expected
    assert whole.unsent == pieces.unsent


@settings(max_examples=150)
@given(st.binary(max_size=200))
def test_any_bytes_are_taken_or_refused(data):
    machine = Mux()
    machine.received(multiplex.greeting())
    try:
        events = machine.received(data)
    except AgentError:
        return
    assert all(each.kind in ("opened", "data", "room", "finished", "closed") for each in events)
