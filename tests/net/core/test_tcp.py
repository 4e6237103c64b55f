"""The table of connections: its fast path, limits, active opening and timers."""

import pytest

from sampan.net.core import event
from sampan.net.core.endpoint import Endpoint
from sampan.net.core.limit import Limits
from sampan.net.wire.ipv4 import Protocol
from sampan.net.wire.tcp import Flag, Options, Segment

FIRST, OURS, M = 0xFFFFFFF0, 0xFFFFFFFA, 0xFFFFFFFF


def test_segment_without_a_connection(machine):
    machine.segment(Flag.ACK, 5, 77)
    machine.segment(Flag.FIN, 5, payload=b"abc")
    machine.segment(Flag.RST, 5)
    first, second = machine.segments()
    assert (first.flags, first.sequence) == (Flag.RST, 77)
    assert (second.flags, second.acknowledgment) == (Flag.RST | Flag.ACK, 9)
    assert machine.stack.flows == ()


def test_resets_are_limited_in_rate(make_machine):
    machine = make_machine(limits=Limits(errors_per_s=10))
    for number in range(100):
        machine.segment(Flag.ACK, number, 1)
    assert len(machine.segments()) == 10
    machine.now += 1
    machine.segment(Flag.ACK, 0, 1)
    assert len(machine.segments()) == 1


def test_flood_of_syns_is_bounded(make_machine):
    machine = make_machine(limits=Limits(half_open=20, offer_s=30))
    for number in range(1000):
        machine.guest = Endpoint(machine.guest.address, number + 1)
        machine.segment(Flag.SYN, number)
    assert len(machine.stack.flows) == machine.port.half_open == 20
    assert len(machine.events()) == 20
    machine.wait(31)
    assert machine.stack.flows == ()
    assert (machine.port.flows, machine.port.half_open) == (0, 0)


def test_number_of_flows_is_bounded(make_machine):
    machine = make_machine(limits=Limits(flows=3))
    for number in range(5):
        machine.guest = Endpoint(machine.guest.address, 1000 + number)
        machine.segment(Flag.SYN, FIRST)
        for each in machine.events():
            if not isinstance(each, event.FlowOpened):
                continue
            each.flow.accept(machine.now)
            machine.segment(Flag.ACK, FIRST + 1, OURS + 1)
    assert len(machine.stack.flows) == 3
    assert (machine.port.flows, machine.port.half_open) == (3, 0)


def test_time_wait_is_bounded(make_machine):
    machine = make_machine(limits=Limits(time_wait_total=4))
    for number in range(10):
        machine.guest = Endpoint(machine.guest.address, 1000 + number)
        machine.segment(Flag.SYN, FIRST)
        [opened] = machine.events()
        opened.flow.accept(machine.now)
        machine.segment(Flag.ACK, FIRST + 1, OURS + 1)
        opened.flow.finish(machine.now)
        machine.segment(Flag.ACK | Flag.FIN, FIRST + 1, OURS + 2)
        machine.events()
    assert [flow.state.name for flow in machine.stack.flows] == ["TIME_WAIT"] * 4
    assert machine.port.flows == 0
    machine.wait(1)
    assert machine.stack.flows == ()


@pytest.mark.parametrize("address", ["e0000001", "c0a841ff", "00000000"])
def test_connections_to_groups_and_nobody(machine, address):
    machine.remote = Endpoint(bytes.fromhex(address), 80)
    machine.segment(Flag.SYN, FIRST)
    assert machine.events() == []
    assert machine.segments() == []


@pytest.mark.parametrize("six", [False, True])
@pytest.mark.parametrize("head", [0, 10, 12])
def test_fast_path_takes_ordinary_segments(make_machine, make_machine6, opened, six, head, monkeypatch):  # fmt: skip
    machine = (make_machine6 if six else make_machine)(head=head)
    establish(machine)
    slow = []

    def unusual(*_):
        slow.append(1)
        return True

    monkeypatch.setattr(type(machine.stack._tcp), "_unusual", unusual)
    machine.segment(Flag.ACK | Flag.PSH, FIRST + 1, OURS + 1, payload=b"hello")
    machine.segment(Flag.ACK, FIRST + 6, OURS + 1, payload=b" you", window=100)
    assert slow == []
    [first, _] = machine.events()
    assert b"".join(first.flow.data()) == b"hello you"
    machine.segment(Flag.ACK, FIRST + 10, OURS + 1, window=100)  # a duplicate, or a probe
    assert slow == [1]


MACHINE_ENDS_FIRST = """
    < FA 1 ack 1
    ! FlowFinished
    = CLOSE_WAIT
    - finish
    > FA 1 ack 2
    < A 2 ack 2
    ! FlowClosed
    = CLOSED
"""
HOST_ENDS_FIRST = """
    - finish
    > FA 1 ack 1
    < A 1 ack 2
    = FIN_WAIT_2
    < PA 1 ack 2 "late"
    ! DataReceived
    - consume
    < FA 5 ack 2
    ! FlowFinished
    ! FlowClosed
    = TIME_WAIT
    > A 2 ack 6
    - wait 1
    = CLOSED
"""
BOTH_END_AT_ONCE = """
    - finish
    > FA 1 ack 1
    < FA 1 ack 2
    ! FlowFinished
    ! FlowClosed
    = TIME_WAIT
    > A 2 ack 2
"""


@pytest.mark.parametrize("end", [MACHINE_ENDS_FIRST, HOST_ENDS_FIRST, BOTH_END_AT_ONCE])
def test_fast_path_takes_a_whole_connection(machine, play, opened, end, monkeypatch):
    def unusual(*_):
        raise AssertionError("a segment went the slow way")

    monkeypatch.setattr(type(machine.stack._tcp), "_unusual", unusual)
    play(opened + end)
    machine.wait(1)
    assert machine.stack.flows == ()
    assert (machine.port.flows, machine.port.half_open) == (0, 0)


def test_half_of_what_we_sent_is_not_the_end_of_it(play, opened):
    play(
        opened
        + """
        - send "answer"
        > PA 1 ack 1 "answer"
        - finish
        > FA 7 ack 1
        < A 1 ack 7
        = FIN_WAIT_1
        < A 1 ack 8
        = FIN_WAIT_2
    """
    )


def establish(machine):
    machine.segment(Flag.SYN, FIRST)
    [opened] = machine.events()
    opened.flow.accept(machine.now)
    machine.segment(Flag.ACK, FIRST + 1, OURS + 1)
    machine.events()
    machine.segments()
    return opened.flow


@pytest.mark.parametrize("place", [24, 40, 50, 60])
@pytest.mark.parametrize("six", [False, True])
def test_fast_path_sees_a_wrong_checksum(make_machine, make_machine6, place, six):
    machine = (make_machine6 if six else make_machine)()
    flow = establish(machine)
    segment = Segment(
        machine.guest.port, machine.remote.port, FIRST + 1, OURS + 1, Flag.ACK, 9, payload=b"x" * 30
    )
    payload = segment.emit(machine.guest.address, machine.remote.address)
    frame = bytearray(machine.frame(Protocol.TCP, payload))
    frame[place + 20 * six] ^= 1
    machine.frames(bytes(frame))
    assert flow.data() == []


def test_a_link_that_cannot_damage_frames_is_believed(machine):
    flow = establish(machine)
    machine.port.verifies = False
    segment = Segment(machine.guest.port, machine.remote.port, FIRST + 1, OURS + 1, Flag.ACK, 9, payload=b"x")  # fmt: skip
    data = segment.emit(machine.guest.address, machine.remote.address, offload=True)
    machine.frames(machine.frame(Protocol.TCP, data))
    assert b"".join(flow.data()) == b"x"


def test_spoofed_sender_of_a_flow(machine):
    flow = establish(machine)
    other = machine.stack.add_port(machine.now)
    machine.stack.frames_to_send()
    segment = Segment(machine.guest.port, machine.remote.port, FIRST + 1, OURS + 1, Flag.ACK, 9, payload=b"x")  # fmt: skip
    frame = machine.frame(Protocol.TCP, segment.emit(machine.guest.address, machine.remote.address))
    machine.stack.frames_received(other, [memoryview(bytearray(frame))], machine.now)
    assert flow.data() == []
    stranger = bytearray(frame)
    stranger[6:12] = bytes.fromhex("020000000009")
    machine.stack.frames_received(other, [memoryview(stranger)], machine.now)
    assert flow.data() == []
    assert other.frames_dropped == 2


def test_active_opening(player):
    machine = player.machine
    machine.arp()
    machine.stack.frames_to_send()
    player.flow = machine.stack.open(machine.guest, machine.remote, machine.now)
    player.play("""
        > S 0
        < SA 0 ack 1
        ! FlowEstablished
        > A 1 ack 1
        = ESTABLISHED
        < PA 1 ack 1 "banner"
        ! DataReceived
        - consume
    """)
    with pytest.raises(ValueError, match="already"):
        machine.stack.open(machine.guest, machine.remote, machine.now)


def test_active_opening_refused(player):
    machine = player.machine
    machine.arp()
    player.flow = machine.stack.open(machine.guest, machine.remote, machine.now)
    player.play("""
        > S 0
        < RA 0 ack 9
        < R 0
        > nothing
        = SYN_SENT
        < RA 0 ack 1
        ! FlowReset REFUSED
        = CLOSED
    """)


def test_active_opening_unanswered(make_player):
    player = make_player(limits=Limits(retransmissions=2))
    machine = player.machine
    machine.arp()
    player.flow = machine.stack.open(machine.guest, machine.remote, machine.now)
    player.play("""
        > S 0
        - wait 1.1
        > S 0
        - wait 2.1
        > S 0
        - wait 4.1
        ! FlowReset TIMED_OUT
        > nothing
    """)


def test_simultaneous_opening(player):
    machine = player.machine
    machine.arp()
    player.flow = machine.stack.open(machine.guest, machine.remote, machine.now)
    player.play("""
        > S 0
        < S 0
        > SA 0 ack 1
        = SYN_RECEIVED
        < A 1 ack 1
        ! FlowEstablished
        = ESTABLISHED
    """)


def test_active_opening_to_a_machine_that_must_be_found(player):
    machine = player.machine
    player.flow = machine.stack.open(machine.guest, machine.remote, machine.now)
    [question] = machine.sent()
    assert question.ethertype == 0x0806
    machine.wait(1.1)
    assert 0x0806 in [frame.ethertype for frame in machine.sent()]
    machine.arp(operation=2)
    player.play("> S 0\n< SA 0 ack 1\n! FlowEstablished\n> A 1 ack 1")
    assert (machine.port.flows, machine.port.half_open) == (1, 0)


def test_lost_answer_is_sent_again(play):
    play("""
        < S 0
        ! FlowOpened
        - accept
        > SA 0 ack 1
        - wait 1.1
        > SA 0 ack 1
        < A 1 ack 1
        ! FlowEstablished
    """)


def test_answer_that_never_arrives(make_player):
    make_player(limits=Limits(retransmissions=1)).play("""
        < S 0
        ! FlowOpened
        - accept
        > SA 0 ack 1
        - wait 1.1
        > SA 0 ack 1
        - wait 2.1
        ! FlowReset TIMED_OUT
        > RA 1 ack 1
    """)


def test_lost_data_is_sent_again(play, opened):
    play(
        opened
        + """
        - send "abc"
        > AP 1 ack 1 "abc"
        - wait 0.3
        > AP 1 ack 1 "abc"
        - wait 0.5
        > AP 1 ack 1 "abc"
        < A 1 ack 4
        - wait 60
        > nothing
    """
    )


def test_lost_fin_is_sent_again(play, opened):
    play(
        opened
        + """
        - send "abc"
        > AP 1 ack 1 "abc"
        - finish
        > FA 4 ack 1
        - wait 0.3
        > AP 1 ack 1 "abc"
        > FA 4 ack 1
        < A 1 ack 4
        > nothing
        - wait 0.25
        > FA 4 ack 1
        < A 1 ack 5
        = FIN_WAIT_2
    """
    )


def test_fast_retransmission(play, opened):
    """Three duplicates, and SACK tells what not to send again."""
    play(
        opened
        + """
        - send "a" rep 1460
        > AP 1 ack 1 "a" rep 1460
        - send "b" rep 1460
        > AP 1461 ack 1 "b" rep 1460
        - send "c" rep 1460
        > AP 2921 ack 1 "c" rep 1460
        - send "d" rep 1460
        > AP 4381 ack 1 "d" rep 1460
        < A 1 ack 1 2921-4381
        > nothing
        < A 1 ack 1 2921-4381
        < A 1 ack 1 2921-5841
        > AP 1 ack 1 "a" rep 1460
        > AP 1461 ack 1 "b" rep 1460
        < A 1 ack 5841
        > nothing
    """
    )


def test_keepalive(make_player, opened):
    limits = Limits(keepalive_s=60, keepalive_interval_s=10, keepalive_probes=2)
    make_player(limits=limits).play(
        opened
        + """
        - wait 61
        > A 0 ack 1
        < A 1 ack 1
        - wait 50
        > nothing
        - wait 11
        > A 0 ack 1
        - wait 10
        > A 0 ack 1
        - wait 10
        ! FlowReset TIMED_OUT
        > RA 1 ack 1
    """
    )


def test_idle_flow_ends_though_its_machine_lives(make_player, opened):
    make_player(limits=Limits(keepalive_s=60, idle_s=100)).play(
        opened
        + """
        - wait 61
        > A 0 ack 1
        < A 1 ack 1
        - wait 61
        ! FlowReset IDLE
        > RA 1 ack 1
    """
    )


def test_machine_without_options(machine):
    segment = Segment(machine.guest.port, machine.remote.port, FIRST, 0, Flag.SYN, 500)
    machine.packet(6, segment.emit(machine.guest.address, machine.remote.address))
    [opened] = machine.events()
    opened.flow.accept(machine.now)
    [answer] = machine.segments()
    assert answer.options == Options(mss=1460)
    machine.segment(Flag.ACK, FIRST + 1, OURS + 1, window=500)
    assert opened.flow.sender.mss == 536
    assert opened.flow.room() == 500
    assert isinstance(machine.events()[0], event.FlowEstablished)
