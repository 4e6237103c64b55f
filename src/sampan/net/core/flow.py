"""One TCP connection between a machine and, in a remote's name, us.

Theory of operation. A flow joins a receiver, a sender, a header template and a state. The
runtime sees it by the methods that have no underscore in their section "for the runtime";
`arrival` and `tcp` drive it by the rest. Acknowledgments are not sent when data comes but at
the end of a batch, so that they carry the window after the host took its share, and none is
sent where a data segment has carried it.

It may not know how segments are found in frames, nor of other flows but by the ledger.
"""

from __future__ import annotations

import math

from sampan.net.core import event, handshake, state
from sampan.net.core.buffer import HEADROOM, SendBuffer
from sampan.net.core.endpoint import Endpoint, key_of
from sampan.net.core.error import LocalProtocolError
from sampan.net.core.ledger import Ledger
from sampan.net.core.port import Port
from sampan.net.core.receiver import Receiver
from sampan.net.core.sender import Sender
from sampan.net.core.template import Line, Template
from sampan.net.wire import seqnum, tcp
from sampan.net.wire.checksum import Buffer
from sampan.net.wire.ethernet import EtherType

COPY_BELOW = 16384  # smaller payloads are copied, that they do not hold a large buffer
_FIN, _RST, _ACK, _DATA = 0x01, 0x04, 0x10, 0x18  # `wire.tcp.Flag` as plain, quick ints
_IPV4, _IPV6 = (kind.to_bytes(2, "big") for kind in (EtherType.IPV4, EtherType.IPV6))
_NO_FAST_PATH = -1
_CHALLENGES_PER_S = 10  # RFC 5961, 7


class Flow:
    """A connection. `guest` is the machine's end, `remote` whom we stand in for.

    A flow may end at any time, and its last event come after that: actions on one that is gone
    do nothing. What its state does not allow while it lives raises LocalProtocolError.

    `context` belongs to the runtime. `received` and `delivered` count payload bytes.
    """

    __slots__ = (
        "ack_due", "ack_now", "answered", "armed", "challenged", "challenges", "context",
        "control", "delayed_ack", "delivered", "ethernet", "fin_at", "guest",
        "header_size", "heard", "idle", "is_active", "is_readable", "key", "ledger", "mac",
        "options", "port", "probes", "received", "receiver", "remote", "sack", "sender",
        "stamp", "stamped", "state", "template", "unacknowledged", "wants_finish", "window_from",
    )  # fmt: skip

    def __init__(
        self, ledger: Ledger, port: Port, mac: bytes, guest: Endpoint, remote: Endpoint, active: bool
    ) -> None:  # fmt: skip
        self.context: object = None
        self.ledger = ledger
        self.guest, self.remote = guest, remote
        self.key = key_of(guest, remote)
        self.is_active = active
        self.state = state.SYN_SENT if active else state.OFFERED
        self.receiver = Receiver(ledger.limits, ledger.account)
        first = int.from_bytes(ledger.entropy(4), "big")
        self.sender = Sender(first, ledger.pool, ledger.limits)
        self.control = _NO_FAST_PATH  # of a header that the fast path takes
        self.header_size = 0
        self.options = tcp.NO_OPTIONS  # the machine's, of its SYN
        self.sack = self.stamped = False
        self.stamp = 0  # the machine's latest, to be echoed
        self.ack_due = self.ack_now = self.is_readable = self.wants_finish = False
        self.unacknowledged = 0
        self.fin_at: int | None = None
        self.window_from = 0
        self.armed = self.delayed_ack = self.idle = math.inf
        self.heard = self.answered = ledger.now
        self.probes = self.challenges = self.received = self.delivered = 0
        self.challenged = 0.0
        self.attach(port, mac)

    def attach(self, port: Port, mac: bytes) -> None:
        """The machine is at this port, under this MAC."""
        network = self.ledger.network
        self.port, self.mac = port, mac
        self.template = Template(Line(network.mac, mac, self.remote, self.guest, port.head))
        self.ethernet = network.mac + mac + (_IPV4 if len(self.guest.address) == 4 else _IPV6)

    # For the runtime

    def accept(self, now: float) -> None:
        """The host's connection is there: answer the machine's SYN. FlowEstablished follows."""
        if not self._allows(state.ACCEPT, now):
            return
        self.idle = math.inf
        self._step(state.ACCEPT)
        self.sender.opened(now)
        handshake.send_syn(self)
        self.rearm()

    def refuse(self, refusal: event.Refusal, now: float) -> None:
        """The host's connection failed: tell the machine as the network would. Ends the flow."""
        if not self._allows(state.ACCEPT, now):
            return
        if refusal is event.Refusal.REFUSED:
            self.send_segment(_RST | _ACK)
        elif refusal is not event.Refusal.TIMED_OUT:
            self.ledger.unreachable(self, refusal)
        self.forget()

    @property
    def is_alive(self) -> bool:
        """Whether the flow is still in the table."""
        return self.state is not state.CLOSED

    @property
    def pending(self) -> int:
        """How many bytes of `data` wait for the host."""
        return self.receiver.size

    @property
    def is_finished(self) -> bool:
        """Whether the machine will send nothing beyond what is pending."""
        return self.fin_at is not None and seqnum.before(self.fin_at, self.receiver.next)

    def data(self) -> list[Buffer]:
        """What waits for the host, for `sendmsg`; maybe not all. Say what was `consumed`.

        The buffers are valid until the next `frames_received` or `consumed`, and may not be held.
        """
        return self.receiver.data()

    def consumed(self, size: int) -> None:
        """The host took `size` bytes of `data`; 0 if it took none."""
        receiver = self.receiver
        if not 0 <= size <= receiver.size:
            raise LocalProtocolError(f"{size} bytes consumed of {receiver.size}")
        held = bool(receiver.kept)
        receiver.consumed(size)
        if held and not receiver.kept and self.state in state.RECEIVING:
            self.owe_ack(now=True)  # the window moves again

    def room(self) -> int:
        """How many bytes may be sent now. After 0, RoomOpened tells when to ask again."""
        if self.state not in state.SENDING:
            return 0
        sender = self.sender
        room = sender.room()
        if room and not self.ledger.pool.is_empty:
            return room
        sender.blocked = True
        if room:
            self.ledger.starved[self] = None
        elif sender.una == sender.next:
            self._await_window()
        return 0

    def send(self, buffer: SendBuffer, length: int, now: float) -> None:
        """Send the first `length` bytes of the payload of `buffer`, which `Stack.spare` gave.

        At most as many as `room` said. The buffer belongs to the flow if `spare` gives another
        one afterwards; ask again in any case.
        """
        sender, receiver, ledger = self.sender, self.receiver, self.ledger
        ledger.now = now
        if self.state not in state.SENDING or not 0 < length <= sender.superframe:
            raise LocalProtocolError(f"{length} bytes sent in state {self.state.value}")
        window = receiver.window()
        if length > sender.mss and not self.port.head:
            payload = buffer.view[HEADROOM : HEADROOM + length]
            ledger.pool.keep(buffer)
            self._send_payload(sender.next, payload, window)
            sender.sent(payload, buffer, now)
        else:
            start = self.template.fill(
                buffer, length, sender.next, receiver.next, window, self.stamps
            )  # fmt: skip
            if length > COPY_BELOW:
                ledger.pool.keep(buffer)
                frame = buffer.view[start : HEADROOM + length]
                sender.sent(frame[HEADROOM - start :], buffer, now)
            else:
                frame = memoryview(bytes(buffer.view[start : HEADROOM + length]))
                sender.sent(frame[HEADROOM - start :], None, now)
            self.port.outgoing.append((frame,))
        self.delivered += length
        self.ack_due = False
        self.unacknowledged = 0
        self.heard = now
        if sender.timer < self.armed:
            ledger.arm(self, sender.timer)

    def finish(self, now: float) -> None:
        """The host will send no more: send a FIN. What the machine sends is still welcome."""
        if self.state is state.SYN_RECEIVED:
            self.wants_finish = True
            return
        if not self._allows(state.FINISH, now):
            return
        self.send_segment(_FIN | _ACK)
        self.sender.finished(now)
        self._step(state.FINISH)
        self.rearm()

    def abort(self, now: float) -> None:
        """The host's connection broke: reset the machine's. The flow is gone, without an event."""
        self.ledger.now = now
        if self.state is state.CLOSED:
            return
        if self.state not in (state.OFFERED, state.TIME_WAIT):
            self.send_segment(_RST | _ACK)
        self.forget()

    # For `arrival` and `tcp`

    def send_segment(self, flags: int, sequence: int | None = None) -> None:
        """A segment without payload: an acknowledgment, FIN, RST or probe."""
        receiver = self.receiver
        options = self.template.stamps(self.stamps)
        if self.sack and receiver.pieces:
            options += tcp.Options(sack=receiver.blocks()).emit()
        number = self.sender.next if sequence is None else sequence
        window = 0 if flags & _RST else receiver.window()
        self.port.send(self.template.header(number, receiver.next, flags, window, options))
        self.ack_due = self.ack_now = False
        self.unacknowledged = 0
        self.delayed_ack = math.inf

    def _send_payload(self, sequence: int, payload: memoryview, window: int) -> None:
        """Headers of their own in front of views of `payload`, cut by the MSS where we must."""
        template, acknowledgment = self.template, self.receiver.next
        if not self.port.head:
            frames = template.cut(payload, sequence, acknowledgment, window, self.stamps)
            self.port.outgoing += frames
            return
        options = template.stamps(self.stamps)
        header = template.header(sequence, acknowledgment, _DATA, window, options, payload)
        self.port.outgoing.append((header, payload))

    def send_again(self) -> None:
        """Whatever the sender takes for lost, as far as it may be sent now."""
        for sequence, payload, fin in self.sender.pieces():
            if payload:
                self._send_payload(sequence, payload, self.receiver.window())
            if fin:
                number = (sequence + len(payload)) & 0xFFFFFFFF
                self.send_segment(_FIN | _ACK, number)
        self.rearm()

    def owe_ack(self, *, now: bool = False) -> None:
        """An acknowledgment is due: with the batch if `now` or if much came, else soon."""
        self.ack_now |= now
        if not self.ack_due:
            self.ack_due = True
            self.ledger.acks.append(self)

    def settle_ack(self) -> None:
        """The batch is over: send what is owed, or set the timer for it."""
        now, self.ack_now = self.ack_now, False
        if not self.ack_due:
            return
        self.ack_due = False
        if now or self.unacknowledged >= 2 * self.sender.mss:
            self.send_segment(_ACK)
        elif self.delayed_ack == math.inf:
            self.delayed_ack = self.ledger.now + self.ledger.limits.delayed_ack_s
            self.ledger.arm(self, self.delayed_ack)

    def challenge(self) -> None:
        """Answer a segment that may be forged: whoever it was, this is where we stand."""
        now = self.ledger.now
        if now - self.challenged >= 1.0:
            self.challenged, self.challenges = now, 0
        self.challenges += 1
        if self.challenges <= _CHALLENGES_PER_S:
            self.send_segment(_ACK)

    def deliver(self, payload: memoryview) -> None:
        """In-order data for the host."""
        self.receiver.accept(payload)
        self.received += len(payload)
        self.unacknowledged += len(payload)
        if not self.is_readable:
            self.is_readable = True
            self.ledger.readable.append(self)
            self.ledger.events.append(event.DataReceived(self))
        self.owe_ack()

    def unblock(self) -> None:
        """Something changed that `room` may have waited for."""
        sender = self.sender
        if not sender.blocked or self.state not in state.SENDING:
            return
        if sender.room():
            sender.blocked = False
            self.ledger.events.append(event.RoomOpened(self))
        elif sender.una == sender.next:
            self._await_window()

    def _await_window(self) -> None:
        """Nothing in flight and no window: ask for it from time to time."""
        if self.sender.timer == math.inf:
            self.sender.timer = self.ledger.now + self.sender.rto.seconds
            self.ledger.arm(self, self.sender.timer)

    def turned(self) -> None:
        """The machine has all that we sent: our SYN or FIN is done (see `state.TURNING`)."""
        opening = self.state is state.SYN_RECEIVED
        self.take(state.ACKED)
        self.established() if opening else self.rearm()

    def established(self) -> None:
        """The handshake is over."""
        self.port.half_open -= 1
        self.heard = self.ledger.now
        self.idle = self.heard + self.ledger.limits.keepalive_s
        self.ledger.events.append(event.FlowEstablished(self))
        self.rearm()
        if self.wants_finish:
            self.finish(self.heard)

    def take(self, given: state.Input) -> None:
        """Something happened; the states that follow decide over timers and the fast path."""
        if state.step(self.state, given) is state.CLOSED:
            self.forget(close=True)
            return
        self._step(given)
        if self.state is state.FIN_WAIT_2:
            self.idle = self.ledger.now + self.ledger.limits.half_closed_s
        elif self.state is state.TIME_WAIT:
            self._linger()

    def _step(self, given: state.Input) -> None:
        self.state = state.step(self.state, given)
        usual = 0x8010 if self.stamped else 0x5010
        self.control = usual if self.state in state.USUAL else _NO_FAST_PATH

    def _linger(self) -> None:
        """Both have finished; only stray segments are still answered."""
        ledger = self.ledger
        self.port.flows -= 1
        self.sender.release()
        self.idle = ledger.now + ledger.limits.time_wait_s
        ledger.time_wait[self] = None
        ledger.events.append(event.FlowClosed(self))
        while len(ledger.time_wait) > ledger.limits.time_wait_total:
            next(iter(ledger.time_wait)).forget()

    def end(self, reason: event.Reason) -> None:
        """The flow is over for this reason, and the runtime is told."""
        told = self.state not in (state.TIME_WAIT, state.CLOSED)
        self.forget()
        if told:
            self.ledger.events.append(event.FlowReset(self, reason))

    def forget(self, *, close: bool = False) -> None:
        """Leave the table. What the host has not taken stays only if this is a proper `close`."""
        ledger = self.ledger
        if self.state is state.CLOSED:
            return
        if self.state is state.TIME_WAIT:
            del ledger.time_wait[self]
        else:
            self.port.flows -= 1
            if self.state in state.HALF_OPEN:
                self.port.half_open -= 1
            self.sender.release()
            if close:
                ledger.events.append(event.FlowClosed(self))
            else:
                self.receiver.release()
        if ledger.flows.get(self.key) is self:
            del ledger.flows[self.key]
        if self.sender.blocked:
            ledger.starved.pop(self, None)
        self.state = state.CLOSED
        self.control = _NO_FAST_PATH
        self.ack_due = False
        self.sender.timer = self.idle = self.delayed_ack = math.inf
        ledger.disarm(self)

    def rearm(self) -> None:
        """Have the ledger see to this flow when its next deadline comes."""
        armed = self.armed
        if self.sender.timer < armed or self.idle < armed or self.delayed_ack < armed:
            self.ledger.arm(self, min(self.sender.timer, self.idle, self.delayed_ack))

    @property
    def stamps(self) -> tuple[int, int]:
        """The timestamps a segment bears now: our clock in milliseconds, and the machine's."""
        return int(self.ledger.now * 1000) & 0xFFFFFFFF, self.stamp

    def _allows(self, given: state.Input, now: float) -> bool:
        """Whether the flow still lives; an action that its state does not know is a bug."""
        self.ledger.now = now
        if self.state is state.CLOSED:
            return False  # it ended in the same batch, and the event that says so is still to come
        if not state.allows(self.state, given):
            raise LocalProtocolError(f"{given.value} in state {self.state.value}")
        return True
