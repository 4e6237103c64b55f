"""A segment of a known flow that is not plain progress: RFC 9293, section 3.10.7, step by step.

`arrived` takes the checks in the RFC's order: sequence, RST, SYN, ACK, data, FIN; with PAWS
(RFC 7323, 5) in front of them, and the stricter rules of RFC 5961 for RST, SYN and ACK: who
does not know the exact number gets a challenge, and nothing happens.

It may not know about frames and addresses; a segment's own checksum has been verified.
"""

from __future__ import annotations

from sampan.net.core import event, handshake, state
from sampan.net.core.flow import Flow
from sampan.net.wire import seqnum
from sampan.net.wire.tcp import Segment

_FIN, _SYN, _RST, _ACK = 0x01, 0x02, 0x04, 0x10  # `wire.tcp.Flag` as plain, quick ints
_CONTROL = _SYN | _FIN | _RST | _ACK


def arrived(flow: Flow, segment: Segment) -> bool:
    """Take in a segment. False: it opens a new connection in place of this one, which is gone."""
    if flow.state is state.OFFERED or _is_successor(flow, segment):
        return _while_offered(flow, segment)
    if flow.state is state.SYN_SENT:
        _while_opening(flow, segment)
        return True
    if _is_repeated_syn(flow, segment):
        handshake.send_syn(flow)
        return True
    flow.answered = flow.ledger.now
    if not _is_timely(flow, segment) or not _in_window(flow, segment):
        if not segment.flags & _RST:
            flow.challenge() if not segment.length else flow.owe_ack(now=True)
        return True
    if segment.flags & _RST:
        _reset(flow, segment)
    elif segment.flags & _SYN:
        flow.challenge()
    elif segment.flags & _ACK:
        _synchronized(flow, segment)
    return True


def _reset(flow: Flow, segment: Segment) -> None:
    """A RST within the window; only one with the very number counts (RFC 5961, 3.2)."""
    if segment.sequence != flow.receiver.next:
        flow.challenge()
    elif flow.state in (state.LAST_ACK, state.CLOSING):
        flow.forget(close=True)  # both had finished; only the last acknowledgment got lost
    elif flow.state is not state.TIME_WAIT:  # RFC 1337: nobody may cut that short
        flow.end(event.Reason.RESET)


def _synchronized(flow: Flow, segment: Segment) -> None:
    """Acknowledgment, data and FIN of a segment that belongs here."""
    if not _acknowledged(flow, segment):
        return
    if flow.state in state.RECEIVING:
        _data(flow, segment)
        if flow.fin_at is not None and flow.fin_at == flow.receiver.next:
            finished(flow)
    flow.rearm()


def _is_successor(flow: Flow, segment: Segment) -> bool:
    """Whether a SYN may replace a connection in TIME_WAIT (RFC 9293, 3.10.7.4; RFC 6191)."""
    return (
        flow.state is state.TIME_WAIT
        and segment.flags & _CONTROL == _SYN
        and seqnum.before(flow.receiver.next, segment.sequence)
    )


def _while_offered(flow: Flow, segment: Segment) -> bool:
    flags = segment.flags & _CONTROL
    expected = flow.receiver.next
    if flags & _RST:
        if segment.sequence in (expected, seqnum.add(expected, -1)):
            flow.end(event.Reason.RESET)
        return True
    if flags == _SYN and seqnum.add(segment.sequence, 1) != expected:
        flow.end(event.Reason.RESET)  # the machine gave up the first attempt and made another
        return False
    return True


def _is_repeated_syn(flow: Flow, segment: Segment) -> bool:
    return (
        flow.state is state.SYN_RECEIVED
        and segment.flags & _CONTROL == _SYN
        and seqnum.add(segment.sequence, 1) == flow.receiver.next
    )


def _while_opening(flow: Flow, segment: Segment) -> None:
    """SYN_SENT (RFC 9293, 3.10.7.3): we open a connection to the machine."""
    sender = flow.sender
    answers = segment.flags & _ACK
    if answers and segment.acknowledgment != sender.next:
        if not segment.flags & _RST:
            flow.send_segment(_RST, segment.acknowledgment)
        return
    if segment.flags & _RST:
        if answers:
            flow.end(event.Reason.REFUSED)
        return
    if not segment.flags & _SYN:
        return
    handshake.negotiate(flow, segment)
    flow.receiver.window()
    if answers:
        sender.advance(segment.acknowledgment, flow.ledger.now)
        flow.take(state.SYN_ACK)
        flow.owe_ack(now=True)  # what the host has said already may carry it
        flow.established()
    else:
        flow.take(state.SYN)
        handshake.send_syn(flow)


def _is_timely(flow: Flow, segment: Segment) -> bool:
    """PAWS: a segment older than what was seen already is from another life of these numbers."""
    if not flow.stamped or segment.flags & _RST:
        return True
    if segment.options.timestamp is None:
        return False
    value = segment.options.timestamp[0]
    if seqnum.before(value, flow.stamp):
        return False
    if seqnum.at_most(segment.sequence, flow.receiver.next):
        flow.stamp = value
    return True


def _in_window(flow: Flow, segment: Segment) -> bool:
    """Whether any of the segment's numbers lie in the window (RFC 9293, table 6)."""
    receiver = flow.receiver
    window, length = receiver.open_window, segment.length
    first = seqnum.distance(receiver.next, segment.sequence)
    if length == 0:
        return 0 <= first < window or first == 0
    if window == 0:
        return False
    return first < window and first + length > 0


def _acknowledged(flow: Flow, segment: Segment) -> bool:
    """Take in the acknowledgment; False if the segment is to be dropped for it."""
    sender = flow.sender
    number = segment.acknowledgment
    ahead = seqnum.distance(sender.una, number)
    if flow.state is state.SYN_RECEIVED:
        if number != sender.next:
            flow.send_segment(_RST, number)
            return False
        _take_window(flow, segment)
        sender.advance(number, flow.ledger.now)
        flow.turned()
        return True
    if ahead > sender.in_flight or ahead < -max(sender.limit, 65536):
        flow.challenge()
        return False
    if ahead < 0:
        return True  # old, but its data may be news
    same_window = segment.window == sender.field
    if not seqnum.before(segment.sequence, flow.window_from):
        flow.window_from = segment.sequence
        _take_window(flow, segment)
    bare = not segment.length and same_window
    sender.acknowledged(number, segment.options.sack if flow.sack else (), bare, flow.ledger.now)
    if ahead and sender.una == sender.next:
        flow.take(state.ACKED)
    if flow.state is state.CLOSED:
        return False
    if sender.recover is not None:
        flow.send_again()
    if sender.blocked:
        flow.unblock()
    return True


def _take_window(flow: Flow, segment: Segment) -> None:
    sender = flow.sender
    sender.field = segment.window
    sender.window = segment.window << sender.shift
    if not sender.window:
        sender.retries = 0  # it lives, it only has no room


def _data(flow: Flow, segment: Segment) -> None:
    receiver = flow.receiver
    start, payload = segment.sequence, segment.payload
    if segment.flags & _FIN and flow.fin_at is None:
        flow.fin_at = seqnum.add(start, len(payload))
    if flow.fin_at is not None:
        payload = payload[: max(seqnum.distance(start, flow.fin_at), 0)]
    behind = seqnum.distance(start, receiver.next)
    if behind > 0:
        payload = payload[behind:]
        start = receiver.next
    if not payload:
        return
    if not receiver.has_room(min(len(payload), receiver.open_window)):
        flow.owe_ack(now=True)
        return
    if len(payload) > receiver.open_window:
        flow.owe_ack(now=True)  # the machine went too far, and should know it
    out_of_order = bool(receiver.pieces) or start != receiver.next
    ready = receiver.offer(start, payload)
    flow.heard = flow.ledger.now
    if ready:
        flow.deliver(memoryview(ready))
    if out_of_order:
        flow.send_segment(_ACK)  # at once, so that the machine sees each loss (RFC 5681, 4.2)


def finished(flow: Flow) -> None:
    """The machine's FIN is in order. Ours may follow soon, and carry the acknowledgment."""
    flow.receiver.finished()
    flow.heard = flow.ledger.now
    flow.ledger.events.append(event.FlowFinished(flow))
    flow.take(state.FIN)
    flow.rearm()
    flow.unacknowledged += 1
    flow.owe_ack(now=flow.state is not state.CLOSE_WAIT)
