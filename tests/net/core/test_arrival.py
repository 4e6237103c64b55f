"""Conversations for every state of RFC 9293, and what RFC 5961 and 7323 add."""

import pytest

from sampan.net.core.limit import Limits
from sampan.net.wire.tcp import Flag


def test_machine_opens_and_closes_first(play, opened):
    play(
        opened
        + """
        < PA 1 ack 1 "hello"
        ! DataReceived
        - consume
        - send "world"
        > AP 1 ack 6 "world"
        < FA 6 ack 6
        ! FlowFinished
        = CLOSE_WAIT
        > nothing
        - send "more"
        > AP 6 ack 7 "more"
        - finish
        > FA 10 ack 7
        = LAST_ACK
        < A 7 ack 11
        ! FlowClosed
        = CLOSED
    """
    )


@pytest.mark.parametrize("data", ["", ' "end"'])
def test_fin_is_acknowledged_soon_or_by_ours(play, opened, data):
    after = 5 if data else 2
    play(
        opened
        + f"""
        < FA 1 ack 1{data}
        {"! DataReceived" if data else ""}
        ! FlowFinished
        > nothing
        - wait 0.019
        > nothing
        - wait 0.001
        > A 1 ack {after}
        - finish
        > FA 1 ack {after}
        < A {after} ack 2
        ! FlowClosed
    """
    )


def test_host_closes_first(play, opened):
    player = play(
        opened
        + """
        - finish
        > FA 1 ack 1
        = FIN_WAIT_1
        < A 1 ack 2
        = FIN_WAIT_2
        < PA 1 ack 2 "still here"
        ! DataReceived
        - consume
        < FA 11 ack 2
        ! FlowFinished
        ! FlowClosed
        = TIME_WAIT
        > A 2 ack 12
        < FA 11 ack 2
        > A 2 ack 12
        - wait 1
        = CLOSED
    """
    )
    assert player.machine.stack.flows == ()


def test_both_close_at_once(play, opened):
    play(
        opened
        + """
        - finish
        > FA 1 ack 1
        < FA 1 ack 1
        ! FlowFinished
        = CLOSING
        > A 2 ack 2
        < A 2 ack 2
        ! FlowClosed
        = TIME_WAIT
    """
    )


def test_fin_that_acknowledges_ours(play, opened):
    play(
        opened
        + """
        - finish
        > FA 1 ack 1
        < FA 1 ack 2
        ! FlowFinished
        ! FlowClosed
        = TIME_WAIT
        > A 2 ack 2
    """
    )


def test_finish_before_the_handshake_is_over(play):
    play("""
        < S 0
        ! FlowOpened
        - accept
        > SA 0 ack 1
        - finish
        > nothing
        < A 1 ack 1
        ! FlowEstablished
        > FA 1 ack 1
        = FIN_WAIT_1
    """)


def test_new_connection_in_time_wait(play, opened):
    play(
        opened
        + """
        - finish
        > FA 1 ack 1
        < FA 1 ack 2
        ! FlowFinished
        ! FlowClosed
        > A 2 ack 2
        < S 1000
        ! FlowOpened
        = OFFERED
    """
    )


def test_refused(play):
    play("""
        < S 0
        ! FlowOpened
        - refuse REFUSED
        > RA 0 ack 1
        = CLOSED
    """)


def test_silence_for_a_time_out(play):
    play("""
        < S 0
        ! FlowOpened
        < S 0
        > nothing
        - refuse TIMED_OUT
        > nothing
    """)


def test_machine_gives_up_waiting(play):
    play("""
        < S 0
        ! FlowOpened
        < R 1
        ! FlowReset RESET
        = CLOSED
    """)


def test_machine_tries_anew_while_offered(play):
    play("""
        < S 0
        ! FlowOpened
        < S 500
        ! FlowReset RESET
        ! FlowOpened
        = OFFERED
    """)


def test_nobody_decides(make_player):
    make_player(limits=Limits(offer_s=5)).play("""
        < S 0
        ! FlowOpened
        - wait 6
        ! FlowReset TIMED_OUT
        > nothing
    """)


def test_syn_again_gets_the_answer_again(play):
    play("""
        < S 0
        ! FlowOpened
        - accept
        > SA 0 ack 1
        < S 0
        > SA 0 ack 1
        < A 1 ack 9
        > R 9
        < PA 1 ack 1 "early"
        ! FlowEstablished
        ! DataReceived
        - consume
    """)


def test_reset_needs_the_exact_number(play, opened):
    play(
        opened
        + """
        < R 5
        > A 1 ack 1
        < R 900000000
        > nothing
        = ESTABLISHED
        < R 1
        ! FlowReset RESET
        = CLOSED
    """
    )


def test_syn_in_a_connection_is_challenged(play, opened):
    play(
        opened
        + """
        < S 7
        > A 1 ack 1
        < SA 1 ack 1
        > A 1 ack 1
        = ESTABLISHED
    """
    )


def test_challenges_are_limited(player, opened):
    player.play(opened)
    for _ in range(50):
        player.machine.segment(Flag.SYN, 7)
    assert len(player.machine.segments()) == 10


@pytest.mark.parametrize("ack", [500, 3000000000])
def test_acknowledgment_of_what_was_never_sent(play, opened, ack):
    play(
        opened
        + f"""
        < PA 1 ack {ack} "evil"
        > A 1 ack 1
        = ESTABLISHED
    """
    )


def test_old_acknowledgment_but_new_data(play, opened):
    play(
        opened
        + """
        - send "abc"
        > AP 1 ack 1 "abc"
        < A 1 ack 4
        < PA 1 ack 2 "data"
        ! DataReceived
        - consume
    """
    )


def test_no_acknowledgment_no_data(play, opened):
    play(
        opened
        + """
        < P 1 "ignored"
        > nothing
    """
    )


def test_repeated_data_is_acknowledged_and_not_delivered(play, opened):
    player = play(
        opened
        + """
        < PA 1 ack 1 "hello"
        ! DataReceived
        - consume
        < PA 1 ack 1 "hello"
        > A 1 ack 6
        < PA 3 ack 1 "llo you"
        ! DataReceived
        - consume
    """
    )
    assert player.taken == b"hello you"


def test_out_of_order_with_sack(play, opened):
    player = play(
        opened
        + """
        < PA 6 ack 1 "world"
        > A 1 ack 1 6-11
        < PA 14 ack 1 "end"
        > A 1 ack 1 14-17 6-11
        < PA 1 ack 1 "hello"
        ! DataReceived
        > A 1 ack 11 14-17
        - consume
        < PA 11 ack 1 "..."
        ! DataReceived
        > A 1 ack 17
        - consume
    """
    )
    assert player.taken == b"helloworld...end"


def test_out_of_order_without_sack(play):
    play("""
        < S 0 nosack
        ! FlowOpened
        - accept
        > SA 0 ack 1
        < A 1 ack 1
        ! FlowEstablished
        < PA 6 ack 1 "world"
        > A 1 ack 1
    """)


def test_fin_out_of_order(play, opened):
    play(
        opened
        + """
        < FPA 6 ack 1 "world"
        > A 1 ack 1 6-11
        = ESTABLISHED
        < PA 1 ack 1 "hello"
        ! DataReceived
        ! FlowFinished
        > A 1 ack 11
        = CLOSE_WAIT
        - wait 0.02
        > A 1 ack 12
    """
    )


def test_data_beyond_the_fin_is_ignored(play, opened):
    play(
        opened
        + """
        < FA 1 ack 1
        ! FlowFinished
        < PA 2 ack 1 "ghost"
        > nothing
        = CLOSE_WAIT
    """
    )


def test_data_held_beyond_the_fin_is_let_go(player, opened):
    player.play(
        opened
        + """
        < PA 3 ack 1 "ghost"
        > A 1 ack 1 sack 3-8
        < FA 1 ack 1
        ! FlowFinished
        - finish
        > FA 1 ack 2
        < A 2 ack 2
        ! FlowClosed
    """
    )
    assert player.machine.stack.held == 0


def test_data_beyond_the_window(play, opened):
    play(
        opened
        + """
        < PA 90000000 ack 1 "far"
        > A 1 ack 1
    """
    )


def test_keepalive_of_the_machine_is_answered(play, opened):
    play(
        opened
        + """
        < A 0 ack 1
        > A 1 ack 1
    """
    )


def test_paws(make_player):
    player = make_player(timestamps=True)
    player.play("""
        < S 0 ts 100
        ! FlowOpened
        - accept
        > SA 0 ack 1
        < A 1 ack 1 ts 101
        ! FlowEstablished
        < PA 1 ack 1 ts 102 "new"
        ! DataReceived
        - consume
        < PA 4 ack 1 ts 50 "old"
        > A 1 ack 4
        < PA 4 ack 1 "bare"
        > A 1 ack 4
        < PA 4 ack 1 ts 103 "er"
        ! DataReceived
        - consume
    """)
    assert player.taken == b"newer"
    assert player.flow.stamp == 103


def test_half_closed_flow_is_not_kept_for_ever(make_player, opened):
    make_player(limits=Limits(half_closed_s=5)).play(
        opened
        + """
        - finish
        > FA 1 ack 1
        < A 1 ack 2
        - wait 3
        < PA 1 ack 2 "x"
        ! DataReceived
        - consume
        - wait 3
        > A 2 ack 2
        = FIN_WAIT_2
        - wait 3
        ! FlowReset IDLE
        > RA 2 ack 2
    """
    )
