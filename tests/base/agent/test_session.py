"""Two sessions tied together in memory, and peers that break the rules."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.base.agent import session, wire
from sampan.base.agent.session import Caller, ChannelLimitError, Event, Server


class Pair:
    """A caller and a server; what each says is kept until `carry`."""

    def __init__(self):
        numbers = itertools.count(1)
        self.caller = Caller(lambda: next(numbers).to_bytes(16, "big"))
        self.server = Server()
        self.events: dict[session.Session, list[Event]] = {self.caller: [], self.server: []}

    def carry(self):
        """All that is said, back and forth, until nobody says anything; welcomes included."""
        while True:
            moved = False
            for source, sink in ((self.caller, self.server), (self.server, self.caller)):
                if data := source.data_to_send():
                    moved = True
                    sink.received(data)
                for event in sink.events():
                    if sink is self.server and event.kind == session.UP:
                        self.server.welcome(b"me")
                        moved = True
                    self.events[sink].append(event)
            if not moved:
                return

    def heard(self, side):
        events, self.events[side] = self.events[side], []
        return events


@pytest.fixture
def pair():
    made = Pair()
    made.caller.hello()
    made.carry()
    return made


@pytest.fixture
def quiet(pair):
    pair.heard(pair.caller)
    pair.heard(pair.server)
    return pair


def test_a_greeting_and_a_welcome(pair):
    assert pair.heard(pair.caller) == [Event(session.UP, data=b"me")]
    assert pair.heard(pair.server) == [Event(session.UP)]
    assert pair.caller.is_up
    assert pair.server.is_up


def test_a_call(quiet):
    caller, server = quiet.caller, quiet.server
    channel = caller.open(b"what")
    assert caller.send(channel, 0, b"given") == 5
    caller.end(channel, 0)
    quiet.carry()
    assert quiet.heard(server) == [
        Event(session.OPENED, channel, data=b"what"),
        Event(session.RECEIVED, channel, 0, b"given"),
        Event(session.ENDED, channel, 0),
    ]
    server.send(channel, 2, b"said")
    server.note(channel, b"note")
    server.answer(channel, b"done")
    quiet.carry()
    assert quiet.heard(caller) == [
        Event(session.RECEIVED, channel, 2, b"said"),
        Event(session.NOTED, channel, data=b"note"),
        Event(session.ANSWERED, channel, data=b"done"),
    ]
    assert caller.channels == server.channels == frozenset()


def test_no_more_is_sent_than_there_is_room_for(quiet):
    caller, server = quiet.caller, quiet.server
    channel = caller.open(b"")
    data = bytes(3 * session.WINDOW)
    assert caller.send(channel, 0, data) == session.WINDOW
    assert caller.send(channel, 0, data) == 0
    quiet.carry()
    server.consumed(channel, 100)
    quiet.carry()
    assert caller.room(channel) == 0  # permissions are given in batches
    server.consumed(channel, session.WINDOW // 2)
    quiet.carry()
    assert caller.room(channel) == session.WINDOW // 2 + 100
    assert quiet.heard(caller) == [Event(session.ROOM, channel, size=session.WINDOW // 2 + 100)]


@given(st.lists(st.integers(0, 100_000), max_size=20), st.integers(1, 90_000))
def test_all_bytes_arrive_in_order(sizes, taken):
    pair = Pair()
    pair.caller.hello()
    pair.carry()
    channel = pair.caller.open(b"")
    sent, got = bytearray(), bytearray()
    for number, size in enumerate(sizes):
        data = bytes([number]) * size
        sent += data[: pair.caller.send(channel, 0, data)]
        pair.carry()
        for event in pair.heard(pair.server):
            got += event.data if event.kind == session.RECEIVED else b""
            pair.server.consumed(channel, min(len(event.data), taken))
    assert got == sent


def test_either_side_ends_a_channel(quiet):
    caller, server = quiet.caller, quiet.server
    first, second = caller.open(b""), caller.open(b"")
    quiet.carry()
    quiet.heard(server)
    caller.reset(first)
    server.reset(second)
    quiet.carry()
    assert quiet.heard(server) == [Event(session.RESET, first)]
    assert quiet.heard(caller) == [Event(session.RESET, second)]
    caller.send(second, 0, b"late")
    server.answer(first, b"late")
    quiet.carry()
    assert quiet.heard(server) == quiet.heard(caller) == []


def test_an_answer_that_crosses_a_reset_is_dropped(quiet):
    caller, server = quiet.caller, quiet.server
    channel = caller.open(b"")
    quiet.carry()
    quiet.heard(server)
    server.send(channel, 1, b"x")
    server.answer(channel, b"done")
    caller.reset(channel)
    quiet.carry()
    assert quiet.heard(caller) == []
    assert quiet.heard(server) == []


def test_there_are_only_so_many_channels(quiet):
    for _ in range(session.MAX_CHANNELS):
        quiet.caller.open(b"")
    with pytest.raises(ChannelLimitError):
        quiet.caller.open(b"")
    quiet.carry()
    assert len(quiet.server.channels) == session.MAX_CHANNELS


def test_a_server_refuses_too_many(quiet):
    for _ in range(session.MAX_CHANNELS):
        quiet.caller.open(b"")
    quiet.caller._channels.pop(1)  # forgotten, without telling
    late = quiet.caller.open(b"")
    quiet.carry()
    assert Event(session.RESET, late) in quiet.heard(quiet.caller)


def test_nothing_is_opened_before_the_welcome():
    caller = Caller(lambda: bytes(range(16)))
    caller.hello()
    with pytest.raises(ChannelLimitError):
        caller.open(b"")


def test_a_new_greeting_ends_what_was(quiet):
    caller, server = quiet.caller, quiet.server
    caller.open(b"")
    quiet.carry()
    quiet.heard(server)
    caller.hello("we were put back")
    quiet.carry()
    assert quiet.heard(caller) == [
        Event(session.DOWN, data=b"we were put back"), Event(session.UP, data=b"me"),
    ]  # fmt: skip
    assert [event.kind for event in quiet.heard(server)] == [session.DOWN, session.UP]
    assert server.channels == frozenset()


def test_a_server_that_is_new_is_greeted_again(quiet):
    quiet.caller.open(b"")
    quiet.carry()
    quiet.server = Server()
    quiet.events[quiet.server] = []
    quiet.server.announce()
    quiet.heard(quiet.caller)
    quiet.carry()
    [down, up] = quiet.heard(quiet.caller)
    assert (down.kind, down.data) == (session.DOWN, b"it was started anew")
    assert up.kind == session.UP


@pytest.mark.parametrize("cut", [1, 12, 13, 14, 40])
def test_a_machine_that_went_back_in_time(quiet, cut):
    """Bytes of the caller were lost with the old memory: the server says that it is lost."""
    caller, server = quiet.caller, quiet.server
    channel = caller.open(b"some method")
    caller.send(channel, 0, bytes(5000))
    server.received(caller.data_to_send()[cut:])
    quiet.carry()
    assert [event.kind for event in quiet.heard(caller)] == [session.DOWN, session.UP]
    channel = caller.open(b"again")
    quiet.carry()
    assert Event(session.OPENED, channel, data=b"again") in quiet.heard(server)


def test_a_caller_that_comes_anew_to_an_old_server(quiet):
    """Half a frame is in the server when another process greets it."""
    quiet.caller.open(b"x" * 1000)
    quiet.server.received(quiet.caller.data_to_send()[:500])
    new = Caller(lambda: b"another caller!!")
    quiet.server.data_to_send()
    quiet.caller, quiet.events[new] = new, []
    new.hello()
    quiet.carry()
    assert new.is_up
    assert quiet.server.channels == frozenset()


def test_another_version_is_not_spoken():
    caller = Caller(lambda: bytes(range(16)))
    caller.hello()
    caller.data_to_send()
    greeting = wire.Hello(9, bytes(range(16)), b"")
    caller.received(wire.Encoder().greet(greeting, filled=False))
    assert caller.events() == [Event(session.DOWN, data=b"it speaks version 9")]
    assert not caller.is_up


def test_a_welcome_for_somebody_else_is_none():
    caller = Caller(lambda: bytes(range(16)))
    caller.hello()
    greeting = wire.Hello(wire.VERSION, b"somebody elses.!", b"")
    caller.received(wire.Encoder().greet(greeting, filled=False))
    assert not caller.is_up


class Liar(Server):
    """A server that says whatever it is told to."""

    def say(self, kind, channel, payload):
        self._out += self._encoder.emit(kind, channel, payload)


@pytest.mark.parametrize(
    ("kind", "payload", "why"),
    [
        (wire.DATA, bytes(wire.MAX_PAYLOAD), b"it sends more than it may"),
        (wire.WINDOW, b"\xff\xff\xff\xff", b"it takes more than was sent"),
    ],
)
def test_a_server_that_breaks_the_rules(kind, payload, why):
    pair = Pair()
    pair.server = Liar()
    pair.events[pair.server] = []
    pair.caller.hello()
    pair.carry()
    channel = pair.caller.open(b"")
    pair.carry()
    pair.heard(pair.caller)
    for _ in range(6):
        pair.server.say(kind, channel, payload)
    pair.carry()
    downs = [event for event in pair.heard(pair.caller) if event.kind == session.DOWN]
    assert downs == [Event(session.DOWN, data=why)]


@pytest.mark.parametrize(
    ("kind", "payload"),
    [(wire.DATA, b""), (wire.END, b""), (wire.WINDOW, b"\0"), (99, b"later"), (wire.OPEN, b"x")],
)
def test_what_makes_no_sense_is_passed_over(kind, payload):
    pair = Pair()
    pair.server = Liar()
    pair.events[pair.server] = []
    pair.caller.hello()
    pair.carry()
    channel = pair.caller.open(b"")
    pair.carry()
    pair.heard(pair.caller)
    pair.server.say(kind, channel, payload)
    pair.carry()
    assert pair.heard(pair.caller) == []
    assert pair.caller.is_up


def test_a_caller_opens_a_channel_twice(quiet):
    quiet.caller.open(b"")
    quiet.carry()
    quiet.caller._out += quiet.caller._encoder.emit(wire.OPEN, 1, b"")
    quiet.carry()
    assert b"it opens a channel twice" in [event.data for event in quiet.heard(quiet.server)]
    assert quiet.caller.is_up  # they began anew


def test_announcements_are_not_answered_twice():
    """A server that only ever announces makes us say no more than it takes."""
    caller = Caller(lambda: bytes(range(16)))
    caller.hello()
    encoder = wire.Encoder()
    announcement = encoder.greet(wire.Hello(1, wire.NO_NONCE, b""), filled=False)
    caller.received(announcement * 100)
    assert caller.unsent_bytes < 2 * wire.MAX_PAYLOAD
