"""Conversations of a driver with the switchboard, written down; and any order of packets."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sampan.vhost.core import vsock
from sampan.vhost.core.vsock import CLOSING_S, FEW, LARGE, REQUEST_S, SMALL, Switchboard
from sampan.vhost.core.vsock_connection import State
from sampan.vhost.core.vsock_event import (
    Arrived,
    Credited,
    Ended,
    GuestDeaf,
    GuestFinished,
    Offered,
    Opened,
)
from sampan.vhost.core.vsock_packet import HEADER, Op, Packet, Shut

CID = 3
GUEST, HOST = 1024, 80  # ports


@pytest.fixture
def board():
    return Switchboard(CID)


def say(board, op, *, ports=(GUEST, HOST), length=0, flags=0, allocated=1000, forwarded=0, **more):
    """The driver sends a packet: what happened."""
    packet = Packet(CID, 2, ports[0], ports[1], length, 1, op, flags, allocated, forwarded)
    return board.packet_received(packet._replace(**more))


def hear(board):
    """All control packets for the driver."""
    found = []
    while (data := board.control_to_send()) is not None:
        found.append(Packet._make(HEADER.unpack(data)))
    assert not board.has_control
    return found


def ops(board):
    return [Op(packet.op) for packet in hear(board)]


def opened(board, port=GUEST):
    """A connection that the guest began."""
    connection = say(board, Op.REQUEST, ports=(port, HOST)).connection
    board.accept(connection)
    assert Op.RESPONSE in ops(board)
    return connection


def data_header(board, connection, size):
    header = board.data_header(connection, size)
    board.data_sent(connection, size)
    return Packet._make(HEADER.unpack(header))


class TestOpening:
    def test_the_guest_connects(self, board):
        event = say(board, Op.REQUEST, allocated=700)
        assert event == Offered(event.connection)
        assert event.connection.room == 0
        board.accept(event.connection)
        [answer] = hear(board)
        assert answer == Packet(2, CID, HOST, GUEST, 0, 1, Op.RESPONSE, 0, LARGE, 0)
        assert event.connection.room == 700

    def test_the_guest_is_refused(self, board):
        board.abort(say(board, Op.REQUEST).connection)
        assert ops(board) == [Op.RST]
        assert len(board) == 0

    def test_the_host_connects(self, board):
        made = board.connect(22, 0.0)
        [request] = hear(board)
        assert (request.op, request.target_port) == (Op.REQUEST, 22)
        assert request.source_port == made.host_port >= 1 << 30
        event = say(board, Op.RESPONSE, ports=(22, made.host_port), allocated=50)
        assert event == Opened(made)
        assert made.room == 50
        assert board.next_timer() == math.inf

    def test_the_host_is_refused(self, board):
        made = board.connect(22, 0.0)
        hear(board)
        assert say(board, Op.RST, ports=(22, made.host_port)) == Ended(made, was_open=False)
        board.drained(made)
        assert (len(board), ops(board)) == (0, [])

    def test_each_has_a_port_of_its_own(self, board):
        ports = {board.connect(22, 0.0).host_port for _ in range(100)}
        assert len(ports) == 100

    def test_ports_wrap_around(self, board, monkeypatch):
        monkeypatch.setattr(vsock, "_LAST_PORT", (1 << 30) + 1)
        ports = [board.connect(guest, 0.0).host_port for guest in (1, 1, 2)]
        assert ports == [1 << 30, (1 << 30) + 1, 1 << 30]

    def test_a_driver_that_does_not_answer(self, board):
        made = board.connect(22, 5.0)
        hear(board)
        assert board.next_timer() == 5.0 + REQUEST_S
        assert board.timer_fired(14.9) == []
        assert board.timer_fired(15.0) == [Ended(made, was_open=False)]
        assert ops(board) == [Op.RST]
        assert board.next_timer() == math.inf

    def test_a_guest_that_never_heard_of_it_need_not_hear_of_its_end(self, board):
        board.abort(board.connect(22, 0.0))
        assert hear(board) == []

    def test_a_connection_that_the_guest_has_forgotten(self, board):
        old = opened(board)
        assert say(board, Op.REQUEST) == Ended(old)
        assert ops(board) == [Op.RST]
        assert isinstance(say(board, Op.REQUEST), Offered)

    def test_there_is_a_limit(self):
        board = Switchboard(CID, limit=2)
        first = opened(board, 1)
        opened(board, 2)
        assert say(board, Op.REQUEST, ports=(3, HOST)) is None
        assert ops(board) == [Op.RST]
        assert board.connect(22, 0.0) is None
        say(board, Op.SHUTDOWN, ports=(1, HOST), flags=3)
        assert board.connect(22, 0.0) is None  # what it sent may still be on its way
        board.drained(first)
        assert board.connect(22, 0.0) is not None

    def test_many_share_the_memory(self, board):
        buffers = [opened(board, port).inflow.buffer for port in range(FEW + 2)]
        assert buffers[FEW - 1 :] == [LARGE, SMALL, SMALL]


class TestData:
    def test_data_comes_and_room_is_told_in_time(self, board):
        made = opened(board)
        for _ in range(4):
            assert not board.has_control
            assert say(board, Op.RW, length=65536, allocated=LARGE) == Arrived(made)
            board.passed_on(made, 65536)
        assert not board.has_control
        say(board, Op.RW, length=1, allocated=LARGE)
        board.passed_on(made, 1)
        [update] = hear(board)
        assert (update.op, update.allocated, update.forwarded) == (
            Op.CREDIT_UPDATE, LARGE, 4 * 65536 + 1,
        )  # fmt: skip

    def test_a_guest_with_a_small_buffer_is_told_of_room_sooner(self, board):
        """It may send no more than it would take itself, whatever it is offered."""
        made = opened(board)
        say(board, Op.RW, length=1000)
        board.passed_on(made, 250)
        assert not board.has_control
        board.passed_on(made, 1)
        [update] = hear(board)
        assert (update.op, update.forwarded) == (Op.CREDIT_UPDATE, 251)

    def test_a_guest_that_makes_its_buffer_small_is_told_of_room_at_once(self, board):
        made = opened(board)
        say(board, Op.RW, length=1000, allocated=LARGE)
        board.passed_on(made, 1000)
        assert not board.has_control
        say(board, Op.CREDIT_UPDATE, allocated=900)
        [update] = hear(board)
        assert (update.op, update.forwarded) == (Op.CREDIT_UPDATE, 1000)

    def test_more_than_there_is_room_for(self, board):
        made = opened(board)
        for _ in range(LARGE // 65536):
            assert say(board, Op.RW, length=65536) == Arrived(made)
        assert say(board, Op.RW, length=1) == Ended(made)
        assert ops(board) == [Op.RST]

    def test_room_is_told_on_request(self, board):
        made = opened(board)
        assert say(board, Op.CREDIT_REQUEST) == Credited(made)
        assert ops(board) == [Op.CREDIT_UPDATE]

    def test_data_goes_as_far_as_there_is_credit(self, board):
        made = opened(board)
        header = data_header(board, made, 600)
        assert header == Packet(2, CID, HOST, GUEST, 600, 1, Op.RW, 0, LARGE, 0)
        assert made.room == 400
        assert say(board, Op.CREDIT_UPDATE, forwarded=500) == Credited(made)
        assert made.room == 900

    def test_data_tells_the_credit_too(self, board):
        made = opened(board)
        say(board, Op.RW, length=LARGE, allocated=LARGE)
        board.passed_on(made, LARGE // 4 - 1)
        assert data_header(board, made, 1).forwarded == LARGE // 4 - 1
        board.passed_on(made, LARGE // 4 - 1)
        assert not board.has_control

    @pytest.mark.parametrize("op", [Op.RW, Op.SHUTDOWN, Op.RESPONSE])
    def test_before_the_guest_has_answered(self, board, op):
        made = board.connect(22, 0.0)
        if op is Op.RESPONSE:
            say(board, op, ports=(22, made.host_port))
        event = say(board, op, ports=(22, made.host_port), flags=1)
        assert isinstance(event, Ended)


class TestClosing:
    def test_the_guest_has_said_all(self, board):
        made = opened(board)
        assert say(board, Op.SHUTDOWN, flags=Shut.SEND) == GuestFinished(made)
        assert say(board, Op.SHUTDOWN, flags=Shut.SEND) is None
        assert made.room == 1000  # the other direction goes on
        assert say(board, Op.RW, length=1) == Ended(made)

    def test_the_guest_listens_no_more(self, board):
        made = opened(board)
        assert say(board, Op.SHUTDOWN, flags=Shut.RECEIVE) == GuestDeaf(made)
        assert made.room == 0
        assert say(board, Op.RW, length=1) == Arrived(made)
        assert say(board, Op.SHUTDOWN, flags=Shut.SEND) == Ended(made)

    def test_the_guest_closes(self, board):
        made = opened(board)
        assert say(board, Op.SHUTDOWN, flags=Shut.BOTH) == Ended(made)
        assert ops(board) == [Op.RST]
        assert made.is_over
        assert say(board, Op.SHUTDOWN, flags=Shut.BOTH) is None
        assert ops(board) == [Op.RST]

    def test_the_host_closes(self, board):
        made = opened(board)
        board.said(made, Shut.SEND, 1.0)
        [shutdown] = hear(board)
        assert (shutdown.op, shutdown.flags) == (Op.SHUTDOWN, Shut.SEND)
        board.said(made, Shut.SEND, 1.0)
        assert not board.has_control
        assert made.room == 0
        assert say(board, Op.RW, length=5) == Arrived(made)
        board.said(made, Shut.BOTH, 2.0)
        [shutdown] = hear(board)
        assert shutdown.flags == Shut.BOTH
        assert made.state is State.CLOSING
        assert say(board, Op.RW, length=5) is None
        assert say(board, Op.RST) == Ended(made)
        assert ops(board) == []

    def test_the_host_listens_no_more(self, board):
        made = opened(board)
        board.said(made, Shut.RECEIVE, 1.0)
        assert [packet.flags for packet in hear(board)] == [Shut.RECEIVE]
        assert say(board, Op.RW, length=5) is None  # it was on its way
        assert made.inflow.forwarded == 5
        assert made.room == 1000

    def test_a_guest_that_does_not_let_go(self, board):
        made = opened(board)
        board.said(made, Shut.BOTH, 1.0)
        hear(board)
        assert board.timer_fired(1.0 + CLOSING_S) == [Ended(made)]
        assert ops(board) == [Op.RST]

    def test_the_guest_breaks_it_off(self, board):
        made = opened(board)
        assert say(board, Op.RST) == Ended(made)
        assert hear(board) == []

    def test_the_host_breaks_it_off(self, board):
        made = opened(board)
        board.abort(made)
        board.abort(made)
        assert ops(board) == [Op.RST]
        assert len(board) == 0


class TestStrangers:
    @pytest.mark.parametrize(
        "change",
        [{"source_cid": 9}, {"target_cid": 9}, {"kind": 2}, {"op": 77}, {"op": 0}],
    )
    def test_they_are_refused(self, board, change):
        opened(board)
        assert say(board, change.pop("op", Op.RW), **change) is None
        [answer] = hear(board)
        assert (answer.op, answer.target_cid, answer.source_port) == (Op.RST, CID, HOST)
        assert answer.kind == change.get("kind", 1)
        assert len(board) == 1

    def test_a_reset_is_never_answered(self, board):
        assert say(board, Op.RST) is None
        assert say(board, Op.RST, source_cid=9) is None
        assert hear(board) == []

    def test_refusals_are_bounded(self):
        board = Switchboard(CID, limit=1)
        while not board.is_choked:
            say(board, Op.RW)
        assert len(hear(board)) == vsock.MAX_REFUSALS + 1
        assert not board.is_choked

    def test_so_are_connections_that_come_and_go(self):
        """Of a driver that leaves no buffers for what it is owed."""
        board, count = Switchboard(CID, limit=1), 0
        while not board.is_choked:
            ended = say(board, Op.REQUEST, ports=(count, HOST)).connection
            board.abort(ended)
            count += 1
        assert count == vsock.MAX_REFUSALS + 1
        assert board.connect(22, 0.0) is None


class TestReset:
    def test_all_is_forgotten(self, board):
        made = opened(board)
        say(board, Op.CREDIT_REQUEST)
        say(board, Op.RW, ports=(1, 1))
        assert board.transport_reset() == [Ended(made)]
        assert hear(board) == []

    def test_but_not_what_the_driver_never_heard_of(self, board):
        asked = board.connect(22, 0.0)
        hear(board)
        waiting = board.connect(23, 0.0)
        assert board.transport_reset() == [Ended(asked, was_open=False)]
        [request] = hear(board)
        assert request.target_port == waiting.guest_port


def test_control_goes_round(board):
    """Who owes much does not keep the others waiting."""
    first, second = opened(board, 1), opened(board, 2)
    for each in (first, second):
        say(board, Op.CREDIT_REQUEST, ports=(each.guest_port, HOST))
        board.said(each, Shut.SEND, 0.0)
        board.abort(each)
    assert [packet.target_port for packet in hear(board)] == [1, 2]


class Machine(RuleBasedStateMachine):
    """Any packets and any calls, in any order: bounds hold, and each connection ends once."""

    def __init__(self):
        super().__init__()
        self.board = Switchboard(CID, limit=4)
        self.alive = set()
        self.now = 0.0

    def note(self, event):
        match event:
            case Offered(connection):
                self.alive.add(connection)
            case Ended(connection):
                self.alive.remove(connection)
                self.board.drained(connection)
            case _:
                pass

    @rule(
        ports=st.tuples(st.integers(1, 3), st.sampled_from([80, 1 << 30, (1 << 30) + 1])),
        op=st.integers(0, 8), length=st.integers(0, 70000), flags=st.integers(0, 4),
        allocated=st.integers(0, 2**32 - 1), forwarded=st.integers(0, 2**32 - 1),
        cid=st.sampled_from([CID, CID, CID, 4]),
    )  # fmt: skip
    def packet(self, ports, op, length, flags, allocated, forwarded, cid):
        packet = Packet(cid, 2, ports[0], ports[1], length, 1, op, flags, allocated, forwarded)
        self.note(self.board.packet_received(packet))

    @rule(port=st.integers(1, 3))
    def connect(self, port):
        if (made := self.board.connect(port, self.now)) is not None:
            self.alive.add(made)

    @rule(what=st.sampled_from(list(Shut)), data=st.data())
    def host(self, what, data):
        if self.alive:
            made = data.draw(
                st.sampled_from(
                    sorted(self.alive, key=lambda each: (each.guest_port, each.host_port))
                )
            )
            self.board.accept(made)
            self.board.said(made, what, self.now)
            if made.room:
                data_header(self.board, made, made.room)

    @rule()
    def send(self):
        self.board.control_to_send()

    @rule(seconds=st.integers(1, 20))
    def wait(self, seconds):
        self.now += seconds
        for event in self.board.timer_fired(self.now):
            self.note(event)

    @rule()
    def reset(self):
        for event in self.board.transport_reset():
            self.note(event)

    @invariant()
    def bounds_hold(self):
        assert len(self.board) == len(self.alive) <= 4
        assert self.board.next_timer() > self.now
        assert all(not each.is_over for each in self.alive)


TestAnyOrder = Machine.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=40)


@settings(max_examples=50)
@given(st.lists(st.integers(1, 65536), max_size=60), st.integers(1, 5))
def test_a_driver_that_keeps_to_its_credit_is_never_stuck(sizes, slowness):
    """However slow the host's program is, and whenever it is told that there is room."""
    board = Switchboard(CID)
    made = opened(board)
    credit, waiting = made.inflow.buffer, 0
    for number, size in enumerate(sizes):
        while credit < size:
            board.passed_on(made, waiting)
            waiting = 0
            [update] = hear(board)
            credit = update.allocated - made.inflow._received + update.forwarded
        assert say(board, Op.RW, length=size) == Arrived(made)
        credit -= size
        waiting += size
        if number % slowness == 0:
            board.passed_on(made, waiting)
            waiting = 0
