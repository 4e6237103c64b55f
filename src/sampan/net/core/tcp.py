"""All TCP connections of a stack: the way from a frame to its flow, and their timers.

Theory of operation. `frame4` and `frame6` are the fast path: one unpack of a frame's headers
at fixed offsets, one look into the table by the raw bytes of addresses and ports, a few
comparisons; a segment that is in order and of the usual shape is taken in without making any
object but the view of its payload. Whatever else belongs to a flow is parsed as
`wire.tcp.Segment` and goes to `arrival`. What they cannot place makes them answer False, with
nothing changed; it goes through the whole stack, and comes back to `segment_received`.

Without a flow, a SYN makes one, within its port's limits, and is held until the runtime says
what became of the host's connection; anything else is answered by a RST.

It may not know about ARP, fragments or the switch; the sender of a frame has been checked
against its port, here by comparing the Ethernet header with the flow's.
"""

from __future__ import annotations

import math
import struct

from sampan.net.core import arrival, event, handshake, state
from sampan.net.core.endpoint import Endpoint, key_of
from sampan.net.core.flow import Flow
from sampan.net.core.ledger import Ledger
from sampan.net.core.port import Port
from sampan.net.core.template import Line, Template
from sampan.net.wire import address, tcp
from sampan.net.wire.checksum import residue
from sampan.net.wire.error import MalformedError

_FAST4 = struct.Struct("!14sBxHxxHxB2x12sIIHH")
_FAST6 = struct.Struct("!14sB3xHBx36sIIHH")
_MIN_FRAME4, _MIN_FRAME6 = 54, 74
_TCP = 6  # the protocol's number, as a plain int
_STAMP_KIND = b"\x01\x01\x08\x0a"
_FIN, _SYN, _RST, _ACK = 0x01, 0x02, 0x04, 0x10  # `wire.tcp.Flag` as plain, quick ints
_USUAL_MASK = 0xFFF6  # PSH and FIN may be there or not


class Tcp:
    """The connections of one stack."""

    __slots__ = ("ledger",)

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def frame4(self, port: Port, frame: memoryview) -> bool:
        """Whether the frame was an IPv4 segment of a flow, and has been taken in."""
        head = port.head
        if len(frame) < head + _MIN_FRAME4:
            return False
        (
            link, version, total, fragment, protocol, key, sequence, number, control, window,
        ) = _FAST4.unpack_from(frame, head)  # fmt: skip
        flow = self.ledger.flows.get(key)
        if (
            flow is None
            or link != flow.ethernet
            or protocol != _TCP
            or version != 0x45
            or fragment & 0x3FFF
            or flow.port is not port
        ):
            return False
        end = head + 14 + total
        if end > len(frame) or not (port.trusts(frame) or _is_intact4(frame[head + 14 : end])):
            return False
        return (
            control & _USUAL_MASK == flow.control
            and self._segment(
                flow, sequence, number, window, frame, end, total - flow.header_size, control & _FIN
            )
        ) or self._unusual(flow, frame[head + 34 : end])  # fmt: skip

    def frame6(self, port: Port, frame: memoryview) -> bool:
        """As `frame4`, for IPv6 without extension headers."""
        head = port.head
        if len(frame) < head + _MIN_FRAME6:
            return False
        (
            link, version, length, protocol, key, sequence, number, control, window,
        ) = _FAST6.unpack_from(frame, head)  # fmt: skip
        flow = self.ledger.flows.get(key)
        if (
            flow is None
            or link != flow.ethernet
            or protocol != _TCP
            or version >> 4 != 6
            or flow.port is not port
        ):
            return False
        end = head + 54 + length
        if end > len(frame) or not (port.trusts(frame) or _is_intact6(frame[head + 14 : end])):
            return False
        return (
            control & _USUAL_MASK == flow.control
            and self._segment(
                flow, sequence, number, window, frame, end, length - flow.header_size, control & _FIN
            )
        ) or self._unusual(flow, frame[head + 54 : end])  # fmt: skip

    def _unusual(self, flow: Flow, data: memoryview) -> bool:
        """Take in a segment of a flow by the slow path; its sender and checksum are right."""
        try:
            segment = tcp.Segment.parse(data, flow.guest.address, flow.remote.address, check=False)
        except MalformedError:
            flow.port.frames_dropped += 1
            return True
        return arrival.arrived(flow, segment)

    def _segment(
        self, flow: Flow, sequence: int, number: int, window: int, frame: memoryview, end: int,
        size: int, fin: int,
    ) -> bool:  # fmt: skip
        """Take in `size` bytes of payload before `end`, a FIN (0 or 1) and an acknowledgment.

        False: not here, and nothing is changed.
        """
        receiver, sender = flow.receiver, flow.sender
        if sequence != receiver.next or size < 0 or receiver.pieces or sender.recover is not None:
            return False
        acked = (number - sender.una) & 0xFFFFFFFF
        if not acked and not size and not fin and window == sender.field:
            return False  # a duplicate, or a probe
        turning = flow.state in state.TURNING
        if (
            acked > (sender.next - sender.una) & 0xFFFFFFFF
            or sender.duplicates
            or (turning and number != sender.next)
        ):
            return False
        if (size or fin) and (size + fin > receiver.open_window or flow.fin_at is not None):
            return False
        if (receiver.kept and not receiver.has_room(size)) or (
            flow.stamped and not _is_timely(flow, frame, end - size)
        ):
            return False
        ledger = self.ledger
        flow.heard = ledger.now
        if acked:
            sender.advance(number, ledger.now)
        if window != sender.field:
            sender.field = window
            sender.window = window << sender.shift
        if turning:
            flow.turned()
        if sender.blocked:
            flow.unblock()
        if size:
            flow.deliver(frame[end - size : end])
        if fin:
            flow.fin_at = receiver.next
            arrival.finished(flow)
        return True

    def segment_received(
        self, port: Port, mac: bytes, source: bytes, destination: bytes, segment: tcp.Segment
    ) -> None:
        """A segment from a machine, by the slow path."""
        guest = Endpoint(source, segment.source_port)
        remote = Endpoint(destination, segment.destination_port)
        flow = self.ledger.flows.get(key_of(guest, remote))
        if flow is not None and flow.port is port and arrival.arrived(flow, segment):
            return
        if flow is not None and flow.port is not port:
            return
        if segment.flags & (_SYN | _ACK | _RST | _FIN) == _SYN:
            self._offer(port, mac, guest, remote, segment)
        elif not segment.flags & _RST:
            self._reject(port, mac, guest, remote, segment)

    def _offer(
        self, port: Port, mac: bytes, guest: Endpoint, remote: Endpoint, segment: tcp.Segment
    ) -> None:
        """A machine wants a connection. Over the limits, its SYN is lost, as in a busy network."""
        ledger, limits = self.ledger, self.ledger.limits
        if port.flows >= limits.flows or port.half_open >= limits.half_open:
            return
        if not guest.port or not remote.port or address.is_multicast(remote.address):
            return
        flow = Flow(ledger, port, mac, guest, remote, active=False)
        handshake.negotiate(flow, segment)
        flow.idle = ledger.now + limits.offer_s
        self._enter(flow)
        ledger.events.append(event.FlowOpened(flow))

    def open(self, port: Port, mac: bytes, guest: Endpoint, remote: Endpoint) -> Flow:
        """Open a connection to a machine in the name of `remote`.

        Raises:
            ValueError: there is one between these endpoints.
        """
        if key_of(guest, remote) in self.ledger.flows:
            raise ValueError(f"there is a connection of {remote} to {guest} already")
        flow = Flow(self.ledger, port, mac, guest, remote, active=True)
        flow.sender.opened(self.ledger.now)
        handshake.send_syn(flow)
        self._enter(flow)
        return flow

    def begin(self, flow: Flow, port: Port, mac: bytes) -> None:
        """The machine that a new connection is for has been found: send its SYN now."""
        if flow.state is state.SYN_SENT:
            flow.port.flows -= 1
            flow.port.half_open -= 1
            flow.attach(port, mac)
            port.flows += 1
            port.half_open += 1
            handshake.send_syn(flow)

    def _enter(self, flow: Flow) -> None:
        self.ledger.flows[flow.key] = flow
        flow.port.flows += 1
        flow.port.half_open += 1
        flow.rearm()

    def _reject(
        self, port: Port, mac: bytes, guest: Endpoint, remote: Endpoint, segment: tcp.Segment
    ) -> None:
        """RST for a segment without a connection (RFC 9293, 3.10.7.1)."""
        if not port.may_complain(self.ledger.now):
            return
        line = Line(self.ledger.network.mac, mac, remote, guest, port.head)
        if segment.flags & _ACK:
            header = Template(line).header(segment.acknowledgment, 0, _RST, 0)
        else:
            number = (segment.sequence + segment.length) & 0xFFFFFFFF
            header = Template(line).header(0, number, _RST | _ACK, 0)
        port.send(header)

    def settle(self) -> None:
        """The batch is over: send the acknowledgments that are owed."""
        acks = self.ledger.acks
        if acks:
            self.ledger.acks = []
            for flow in acks:
                flow.settle_ack()

    def timer_fired(self, now: float) -> None:
        """See to the flows whose time has come."""
        for flow in self.ledger.due(now):
            if flow.delayed_ack <= now:
                flow.delayed_ack = math.inf
                if flow.unacknowledged:
                    flow.send_segment(_ACK)
            if flow.sender.timer <= now:
                self._resend(flow, now)
            if flow.idle <= now:
                self._idle(flow, now)
            flow.rearm()

    def _resend(self, flow: Flow, now: float) -> None:
        """The retransmission timer went off: send again, probe, or give up."""
        sender = flow.sender
        if sender.retries >= self.ledger.limits.retransmissions:
            if flow.state is not state.SYN_SENT:
                flow.send_segment(_RST | _ACK)
            flow.end(event.Reason.TIMED_OUT)
        elif flow.state in (state.SYN_SENT, state.SYN_RECEIVED):
            sender.retries += 1
            sender.rto.cancel()
            sender.rto.back_off()
            sender.timer = now + sender.rto.seconds
            handshake.send_syn(flow)
        elif sender.queue:
            sender.expired(now)
            flow.send_again()
        elif sender.blocked and flow.state in state.SENDING and not sender.room():
            sender.retries += 1
            sender.rto.back_off()
            sender.timer = now + sender.rto.seconds
            flow.send_segment(_ACK, (sender.next - 1) & 0xFFFFFFFF)
        else:
            sender.timer = math.inf

    def _idle(self, flow: Flow, now: float) -> None:
        """Nothing was heard for as long as the flow's state allows."""
        limits = self.ledger.limits
        if flow.state is state.TIME_WAIT:
            flow.take(state.EXPIRE)
        elif flow.state is state.OFFERED:
            flow.end(event.Reason.TIMED_OUT)
        elif flow.state is state.FIN_WAIT_2 and flow.heard + limits.half_closed_s > now:
            flow.idle = flow.heard + limits.half_closed_s
        elif flow.state is state.FIN_WAIT_2 or flow.heard + limits.idle_s <= now:
            flow.send_segment(_RST | _ACK)
            flow.end(event.Reason.IDLE)
        else:
            self._keep_alive(flow, now)

    def _keep_alive(self, flow: Flow, now: float) -> None:
        limits = self.ledger.limits
        alive = max(flow.heard, flow.answered) + limits.keepalive_s
        if alive > now:
            flow.probes = 0
            flow.idle = alive
        elif flow.probes < limits.keepalive_probes:
            flow.probes += 1
            flow.idle = now + limits.keepalive_interval_s
            flow.send_segment(_ACK, (flow.sender.next - 1) & 0xFFFFFFFF)
        else:
            flow.send_segment(_RST | _ACK)
            flow.end(event.Reason.TIMED_OUT)


def _is_timely(flow: Flow, frame: memoryview, payload: int) -> bool:
    """PAWS for the usual layout of options, which ends where the payload begins."""
    if frame[payload - 12 : payload - 8] != _STAMP_KIND:
        return False
    value = int.from_bytes(frame[payload - 8 : payload - 4], "big")
    if (value - flow.stamp) & 0x80000000:
        return False
    flow.stamp = value
    return True


def _is_intact4(packet: memoryview) -> bool:
    """Whether both checksums of an IPv4 packet with a segment are right."""
    if int.from_bytes(packet[:20], "big") % 0xFFFF:
        return False
    # from the addresses to the end: one sum for all
    return (residue(packet[12:]) + _TCP + len(packet) - 20) % 0xFFFF == 0


def _is_intact6(packet: memoryview) -> bool:
    """Whether the checksum of a segment in an IPv6 packet is right."""
    return (residue(packet[8:]) + _TCP + len(packet) - 40) % 0xFFFF == 0
