"""What the runtime asks of a flow: sending, room, half closing, aborting, back-pressure."""

import pytest

from sampan.net.core.error import LocalProtocolError
from sampan.net.core.limit import Limits
from sampan.net.core.sender import FIRST_CONGESTION_WINDOW


def test_abort(play, opened):
    play(
        opened
        + """
        - abort
        > RA 1 ack 1
        = CLOSED
        - abort
        > nothing
    """
    )


def test_actions_that_a_state_does_not_allow(player, opened):
    player.play(opened)
    with pytest.raises(LocalProtocolError, match="accept in state established"):
        player.flow.accept(player.machine.now)
    player.play("- finish\n> FA 1 ack 1")
    with pytest.raises(LocalProtocolError, match="finish in state fin-wait-1"):
        player.flow.finish(player.machine.now)
    assert player.flow.room() == 0
    with pytest.raises(LocalProtocolError, match="sent in state"):
        player.machine.send(b"x", player.flow)


def test_more_consumed_than_there_was(play, opened):
    player = play(opened + '< PA 1 ack 1 "abc"\n! DataReceived')
    with pytest.raises(LocalProtocolError, match="4 bytes consumed of 3"):
        player.flow.consumed(4)


def test_acknowledgment_waits_a_little_for_data(play, opened):
    play(
        opened
        + """
        < PA 1 ack 1 "question"
        ! DataReceived
        - consume
        > nothing
        - send "answer"
        > AP 1 ack 9 "answer"
        - wait 0.1
        > nothing
    """
    )


def test_acknowledgment_that_nothing_carries(play, opened):
    play(
        opened
        + """
        < PA 1 ack 1 "question"
        ! DataReceived
        - consume
        - wait 0.01
        > nothing
        - wait 0.02
        > A 1 ack 9
    """
    )


def test_two_full_segments_are_acknowledged_at_once(play, opened):
    play(
        opened
        + """
        < PA 1 ack 1 "0123456789" rep 146
        ! DataReceived
        - consume
        > nothing
        < PA 1461 ack 1 "0123456789" rep 146
        ! DataReceived
        - consume
        > A 1 ack 2921
    """
    )


def test_window_follows_what_the_host_takes(make_player, opened):
    limits = Limits(receive_window=65535, first_window=65535)
    player = make_player(limits=limits).play(
        opened
        + """
        < PA 1 ack 1 "0123456789" rep 146
        ! DataReceived
        - consume 1000
        < PA 1461 ack 1 "0123456789" rep 146
        ! DataReceived
        > A 1 ack 2921 win 62615
        - consume
        > A 1 ack 2921 win 65535
    """
    )
    assert player.taken == b"0123456789" * 292
    assert player.machine.stack.held == 0


def test_machine_that_fills_the_window_and_more(make_player, opened):
    limits = Limits(receive_window=4096, first_window=4096)
    make_player(limits=limits).play(
        opened
        + """
        < PA 1 ack 1 "0123" rep 365
        ! DataReceived
        - consume 0
        < PA 1461 ack 1 "0123" rep 365
        ! DataReceived
        - consume 0
        > A 1 ack 2921 win 1176
        < PA 2921 ack 1 "0123" rep 365
        ! DataReceived
        - consume 0
        > A 1 ack 4097 win 0
        < PA 4097 ack 1 "x"
        > A 1 ack 4097 win 0
        - consume
        > A 1 ack 4097 win 4096
    """
    )


def test_window_opens_again_after_we_finished(make_player, opened):
    player = make_player(limits=Limits(first_window=4096, receive_window=4096))
    player.play(
        opened
        + """
        - finish
        > FA 1 ack 1 win 4096
        < A 1 ack 2
        < PA 1 ack 2 "x" rep 4096
        ! DataReceived
        - consume 0
        > A 2 ack 4097 win 0
        - consume
        > A 2 ack 4097 win 4096
        = FIN_WAIT_2
    """
    )


def test_data_is_still_there_after_the_buffers_were_used_again(player, opened):
    player.play(opened)
    machine = player.machine
    frame = bytearray(machine.frame(6, segment_bytes(machine, b"first")))
    machine.stack.frames_received(machine.port, [memoryview(frame)], machine.now)
    frame[-5:] = b"XXXXX"
    machine.stack.frames_received(machine.port, [], machine.now)
    frame[-5:] = b"YYYYY"
    assert b"".join(player.flow.data()) == b"XXXXX"  # what it was when it was kept
    assert machine.stack.held == 5


def segment_bytes(machine, payload):
    from sampan.net.wire.tcp import Flag, Segment

    first, ours = 0xFFFFFFF0, 0xFFFFFFFA
    segment = Segment(
        machine.guest.port, machine.remote.port, first + 1, ours + 1, Flag.ACK, 512, payload=payload
    )
    return segment.emit(machine.guest.address, machine.remote.address)


def test_room_is_bounded_by_the_windows(play, opened):
    play(
        opened
        + """
        - room 64240
        < A 1 ack 1 win 1
        - room 128
        - send "0123456789" rep 10
        > AP 1 ack 1 "0123456789" rep 10
        - room 0
        < A 1 ack 101 win 512
        ! RoomOpened
        - room 64240
    """
    )
    assert FIRST_CONGESTION_WINDOW >= 4 * 64240


def test_zero_window_is_probed(play, opened):
    play(
        opened
        + """
        < A 1 ack 1 win 0
        - room 0
        - wait 0.3
        > A 0 ack 1
        < A 1 ack 1 win 0
        > nothing
        - wait 0.5
        > A 0 ack 1
        < A 1 ack 1 win 512
        ! RoomOpened
        - room 64240
        - wait 60
        > nothing
    """
    )


def test_no_buffer_no_room(make_player, opened):
    player = make_player(limits=Limits(buffers_total=1), head=10).play(opened)
    flow, machine = player.flow, player.machine
    assert flow.room() == 64240
    machine.send(bytes(20000), flow)
    assert machine.stack.buffers_in_flight == 1
    assert machine.stack.spare() is None
    assert flow.room() == 0
    player.machine.segments()
    player.play("< A 1 ack 20001 win 512\n! RoomOpened")
    assert flow.room() == 64240


def test_large_send_is_cut_into_segments(player, opened):
    player.play(opened)
    data = bytes(range(256)) * 20
    player.machine.send(data, player.flow)
    segments = player.machine.segments()
    assert [len(segment.payload) for segment in segments] == [1460, 1460, 1460, 740]
    assert b"".join(segment.payload for segment in segments) == data


def test_superframe_in_one_piece(make_player, opened):
    player = make_player(head=10).play(opened)
    player.machine.send(bytes(60000), player.flow)
    [offload] = player.machine.offloads()
    assert (offload.segmentation, offload.segment_size, offload.header_length) == (1, 1460, 54)
    assert (offload.checksum_start, offload.checksum_offset) == (34, 16)


def test_sent_and_received_are_counted(play, opened):
    player = play(
        opened
        + """
        < PA 1 ack 1 "abc"
        ! DataReceived
        - consume
        - send "defgh"
        > AP 1 ack 4 "defgh"
    """
    )
    assert (player.flow.received, player.flow.delivered) == (3, 5)
    assert player.flow.pending == 0
    assert not player.flow.is_finished
    player.play("< FA 4 ack 6\n! FlowFinished\n- wait 0.02\n> A 6 ack 5")
    assert player.flow.is_finished


def test_a_fin_ahead_of_a_gap_is_not_yet_the_end(player, opened):
    player.play(opened + '< FPA 4 ack 1 "def"\n> A 1 ack 1 sack 4-7')
    assert not player.flow.is_finished
    player.play('< PA 1 ack 1 "abc"\n! DataReceived\n! FlowFinished\n> A 1 ack 7')
    assert player.flow.is_finished


def test_buffers_of_an_aborted_flow_feed_those_that_wait(make_player, opened):
    player = make_player(limits=Limits(buffers_total=1), head=10).play(opened)
    machine, first = player.machine, player.flow
    machine.send(bytes(20000), first)
    machine.stack.frames_to_send()
    machine.guest = machine.guest._replace(port=40001)
    player.play(opened)
    assert player.flow.room() == 0
    machine.stack.timer_fired(machine.now)
    assert machine.stack.next_timer() > machine.now
    first.abort(machine.now)
    assert machine.stack.next_timer() == machine.now  # there is something to be told
    [told] = machine.stack.events()
    assert told.flow is player.flow
    assert player.flow.room() == 64240
