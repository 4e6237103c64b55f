"""The forwarder protocol's sessions: alone, against golden bytes, and back to back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.net.link import multiplex, session
from sampan.net.link.error import LinkError
from sampan.net.link.multiplex import WINDOW, Close, Data, Destination, Open, Protocol, Window
from sampan.net.link.session import (
    Closed,
    Event,
    Finished,
    Opened,
    Received,
    Session,
    Side,
    Writable,
)

WEB = Destination(Protocol.TCP, bytes([10, 0, 0, 1]), 80)
FIRST = 2**32 - 1  # the host's first channel


def frames(*sent):
    return b"".join(map(multiplex.emit, sent))


def said(one):
    """The frames that a session sends, without its greeting."""
    data = one.data_to_send()
    if not data.startswith(multiplex.greeting()):
        data = multiplex.greeting() + data
    return multiplex.Decoder().received(data)


@pytest.fixture
def host():
    """A host's session that the peer has greeted."""
    made = Session(Side.HOST)
    assert made.data_to_send() == multiplex.greeting()
    made.data_received(multiplex.greeting())
    return made


@pytest.fixture
def pair():
    return Session(Side.HOST), Session(Side.MACHINE)


def exchange(one, other):
    """Pass on what both have to say until they have no more; what that brought about at each."""
    events: tuple[list[Event], list[Event]] = ([], [])
    while one.unsent or other.unsent:
        events[1].extend(other.data_received(one.data_to_send()))
        events[0].extend(one.data_received(other.data_to_send()))
    return events


# A conversation


def test_both_greet_at_once_and_wait_for_nobody():
    host = Session(Side.HOST)
    channel = host.open(WEB)
    assert said(host) == [Open(channel, WEB), Window(channel, WINDOW)]
    greeting = multiplex.greeting(b"of a later version")
    assert host.data_received(greeting[:60]) == []
    before = host.is_greeted
    assert host.data_received(greeting[60:]) == []
    assert (before, host.is_greeted) == (False, True)


def test_a_channel_from_its_opening_to_its_end(pair):
    host, machine = pair
    channel = host.open(WEB)
    assert host.room(channel) == host.send(channel, b"too early") == 0
    assert exchange(host, machine) == (
        [Writable(channel)],
        [Opened(channel, WEB), Writable(channel)],
    )
    assert host.send(channel, b"ask") == 3
    host.shutdown(channel)
    assert exchange(host, machine) == ([], [Received(channel, b"ask"), Finished(channel)])
    assert machine.send(channel, b"answer") == 6
    machine.shutdown(channel)
    machine.close(channel)
    assert exchange(host, machine) == (
        [Received(channel, b"answer"), Finished(channel), Closed(channel)],
        [Closed(channel)],
    )
    assert host.channels == machine.channels == 0


def test_both_may_open_and_number_from_opposite_ends(pair):
    host, machine = pair
    assert [host.open(WEB), host.open(WEB)] == [FIRST, FIRST - 1]
    assert [machine.open(WEB), machine.open(WEB)] == [0, 1]
    exchange(host, machine)
    assert host.channels == machine.channels == 4


def test_numbers_come_round_and_pass_over_those_in_use(host):
    host._next = 0
    host.data_received(frames(Open(FIRST, WEB)))
    assert [host.open(WEB), host.open(WEB)] == [0, FIRST - 1]


def test_who_closes_first_hears_of_it_once(host):
    channel = host.open(WEB)
    host.data_received(frames(Window(channel, 100)))
    said(host)
    host.close(channel)
    host.close(channel)
    host.shutdown(channel)
    assert said(host) == [Close(channel)]
    late = frames(Window(channel, 200), Data(channel, b"late"), multiplex.Shutdown(channel))
    assert host.data_received(late) == []
    assert host.channels == 1  # its number is not free yet
    assert host.data_received(frames(Close(channel))) == [Closed(channel)]
    assert said(host) == []
    assert host.channels == 0


def test_what_is_asked_of_a_forgotten_channel_does_nothing(host):
    channel = host.open(WEB)
    host.data_received(frames(Window(channel, 100), Data(channel, b"abc"), Close(channel)))
    host.data_to_send()
    host.consumed(channel, 3)
    host.shutdown(channel)
    host.close(channel)
    assert host.send(channel, b"x") == 0
    assert host.unsent == 0


# Windows


def test_it_sends_what_the_window_takes(host):
    channel = host.open(WEB)
    host.data_received(frames(Window(channel, 5)))
    assert host.send(channel, b"more than five") == 5
    assert host.send(channel, b"x") == 0
    assert host.data_received(frames(Window(channel, 7))) == [Writable(channel)]
    assert host.room(channel) == 2


def test_a_window_that_was_overtaken_takes_nothing_back(host):
    channel = host.open(WEB)
    host.data_received(frames(Window(channel, 100)))
    assert host.data_received(frames(Window(channel, 50))) == []
    assert host.room(channel) == 100


def test_a_huge_window_is_taken_in_pieces(host):
    channel = host.open(WEB)
    host.data_received(frames(Window(channel, 2**64 - 1)))
    assert host.send(channel, bytes(10 * WINDOW)) == WINDOW


def test_a_window_follows_what_is_consumed(host):
    channel = host.open(WEB)
    host.data_received(frames(Data(channel, bytes(WINDOW))))
    said(host)
    host.consumed(channel, WINDOW // 2)
    assert said(host) == []
    host.consumed(channel, 1)
    assert said(host) == [Window(channel, WINDOW + WINDOW // 2 + 1)]


def test_no_window_for_who_will_send_no_more(host):
    channel = host.open(WEB)
    host.data_received(frames(Data(channel, bytes(WINDOW)), multiplex.Shutdown(channel)))
    said(host)
    host.consumed(channel, WINDOW)
    assert said(host) == []


def test_consuming_more_than_came_is_the_callers_fault(host):
    channel = host.open(WEB)
    host.data_received(frames(Data(channel, b"abc")))
    with pytest.raises(ValueError, match="more is consumed"):
        host.consumed(channel, 4)


def test_nothing_is_sent_after_the_end(host):
    channel = host.open(WEB)
    host.data_received(frames(Window(channel, 100)))
    host.shutdown(channel)
    assert host.send(channel, b"x") == 0
    assert host.data_received(frames(Window(channel, 200))) == []


# Peers that are wrong, or mean harm


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ([Close(7)], "not open"),
        ([Open(7, WEB, dedicated=True)], "whole stream"),
        ([Open(7, WEB), Open(7, WEB)], "twice"),
        ([Open(7, WEB), Data(7, bytes(WINDOW)), Data(7, b"x")], "than its window allows"),
        ([Open(number, WEB) for number in range(6)], "more than 5 channels"),
    ],
    ids=["close", "dedicated", "twice", "window", "channels"],
)
def test_the_session_ends(sent, why):
    machine = Session(Side.MACHINE, max_channels=5)
    with pytest.raises(LinkError, match=why):
        machine.data_received(multiplex.greeting() + frames(*sent))
    with pytest.raises(LinkError, match=why):
        machine.data_received(b"")
    with pytest.raises(LinkError, match=why):
        machine.open(WEB)
    assert machine.channels == 0


def test_another_protocol():
    with pytest.raises(LinkError, match="does not speak"):
        Session(Side.HOST).data_received(b"HTTP/1.1 200 OK")


def test_frames_of_channels_that_are_over_are_dropped(host):
    late = frames(Data(9, b"late"), Window(9, 100), multiplex.Shutdown(9))
    assert host.data_received(late) == []


def test_dropped_bytes_count_too(host):
    channel = host.open(WEB)
    host.close(channel)
    with pytest.raises(LinkError, match="than its window allows"):
        host.data_received(frames(*[Data(channel, bytes(WINDOW // 2 + 1))] * 2))


def test_data_after_the_peers_shutdown_is_dropped(host):
    channel = host.open(WEB)
    over = frames(multiplex.Shutdown(channel), Data(channel, b"x"), multiplex.Shutdown(channel))
    assert host.data_received(over) == [Finished(channel)]


def test_a_peer_that_does_not_read_what_it_asks_for(host, monkeypatch):
    monkeypatch.setattr(session, "MAX_UNSENT", 1000)
    with pytest.raises(LinkError, match="does not read"):
        host.data_received(frames(Open(1, WEB), Close(1)) * 100)


def test_our_own_bound():
    host = Session(Side.HOST, max_channels=1)
    host.open(WEB)
    with pytest.raises(LinkError, match="1 connections"):
        host.open(WEB)


@pytest.mark.parametrize(
    "wrong",
    [
        Destination(Protocol.UNIX, path=b""),
        Destination(Protocol.UNIX, path=b"x" * (session.MAX_PATH + 1)),
        Destination(Protocol.TCP, b"abc", 80),
    ],
    ids=["no path", "long path", "address"],
)
def test_destinations_that_are_none(host, wrong):
    with pytest.raises(ValueError, match="bytes"):
        host.open(wrong)
    assert host.channels == 0


# Two of them back to back

verbs = st.sampled_from(["open", "send", "consume", "shutdown", "close", "pass"])
steps = st.lists(
    st.tuples(st.booleans(), verbs, st.integers(0, 7), st.integers(0, 40_000)), max_size=60
)


class End:
    """A session and its caller, who checks that what it hears makes sense."""

    def __init__(self, side):
        self.session = Session(side)
        self.wire = b""  # to the other end
        self.open: list[int] = []
        self.sent: dict[int, bytearray] = {}
        self.got: dict[int, bytearray] = {}
        self.held: dict[int, int] = {}
        self.finished: set[int] = set()

    def begin(self, channel):
        self.open.append(channel)
        self.sent[channel], self.got[channel] = bytearray(), bytearray()
        self.held[channel] = 0

    def heard(self, events):
        for event in events:
            match event:
                case Opened(channel, destination):
                    assert destination == WEB
                    self.begin(channel)
                case Received(channel, data):
                    assert channel not in self.finished
                    self.got[channel] += data
                    self.held[channel] += len(data)
                    assert self.held[channel] <= WINDOW
                case Finished(channel):
                    self.finished.add(channel)
                case Closed(channel):
                    self.open.remove(channel)
                case _:  # that there is room is seen when something is sent
                    assert isinstance(event, Writable)

    def act(self, verb, which, size):
        if verb == "open":
            self.begin(self.session.open(WEB))
        elif self.open:
            channel = self.open[which % len(self.open)]
            if verb == "send":
                data = bytes([len(self.sent[channel]) % 251]) * size
                took = self.session.send(channel, data)
                self.sent[channel] += data[:took]
            elif verb == "consume":
                size = min(size, self.held[channel])
                self.session.consumed(channel, size)
                self.held[channel] -= size
            elif verb == "shutdown":
                self.session.shutdown(channel)
            elif verb == "close":
                self.session.close(channel)

    def deliver(self, other, size):
        self.wire += self.session.data_to_send()
        part, self.wire = self.wire[:size], self.wire[size:]
        other.heard(other.session.data_received(part))


@given(steps, st.booleans())
@settings(max_examples=200)
def test_back_to_back(played, gently):
    host, machine = End(Side.HOST), End(Side.MACHINE)
    closed = False
    for at_host, verb, which, size in played:
        one, other = (host, machine) if at_host else (machine, host)
        if verb == "pass":
            one.deliver(other, size)
        elif verb != "close" or not gently:  # gently: nothing may be lost
            closed |= verb == "close"
            one.act(verb, which, size)
    for _ in range(200):  # everything that was sent comes, whatever is held
        host.deliver(machine, 30_000)
        machine.deliver(host, 30_000)
    for one, other in ((host, machine), (machine, host)):
        for channel, sent in one.sent.items():
            got = other.got.get(channel, b"")
            assert sent[: len(got)] == got
            assert closed or sent == got
    for each in (*host.open, *machine.open):
        host.session.close(each)
    exchange(host.session, machine.session)
    assert host.session.channels == machine.session.channels == 0


@given(st.binary(max_size=80))
def test_noise(noise):
    machine = Session(Side.MACHINE)
    try:
        machine.data_received(multiplex.greeting() + noise)
    except LinkError:
        assert machine.channels == 0
