"""What was sent to a machine and is not acknowledged yet: how much more may be sent, and what again.

Theory of operation. There is no queue of unsent data: the host's kernel holds that. `room()`
says how much may be read from it and sent at once; what was sent stays here, by reference,
until it is acknowledged. `next` is the sequence number of the next new byte, `una` that of the
oldest unacknowledged one.

*Congestion*: a link of a few microseconds inside one host drops when a queue overflows and for
no other reason. Slow start from 256 KiB, additive increase, halving upon loss (RFC 5681),
bounded by the flow's send window, is enough. One frame takes at most a quarter of the window, so
that the loss of a superframe shows in the acknowledgments of the others.

*Loss* is noticed by three duplicate acknowledgments, by more than three segments' worth of SACK
(RFC 6675), or by the time-out (RFC 6298). Recovery lasts until everything that was in flight
then is acknowledged; in it `pieces()` gives what to send again: holes below the highest SACKed
byte, or, after a time-out, whatever is not SACKed. `resend` marks how far this has come.

It may not know about headers, frames, flows' states or the runtime. Time is given.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator

from sampan.net.core.buffer import Pool, SendBuffer
from sampan.net.core.limit import Limits
from sampan.net.core.rtt import Timeout
from sampan.net.core.scoreboard import Scoreboard
from sampan.net.wire import seqnum

MASK = seqnum.MASK
FIRST_CONGESTION_WINDOW = 1 << 18
MIN_THRESHOLD = 1 << 16  # where slow start ends after a loss, at the least
MIN_CHUNK = 16384  # while something is in flight, rather wait than send less
MAX_ENTRIES = 2048  # of any size, unacknowledged
_DUPLICATES = 3


class Sent:
    """One stretch of the stream in flight; `fin` means its last number is a FIN, not a byte."""

    __slots__ = ("buffer", "end", "fin", "payload", "start")

    def __init__(
        self, start: int, end: int, payload: memoryview, buffer: SendBuffer | None, fin: bool
    ) -> None:
        self.start = start
        self.end = end
        self.payload = payload
        self.buffer = buffer
        self.fin = fin


class Sender:
    """The sending half of a flow. Windows in bytes; `field` is the peer's, as it came."""

    __slots__ = (
        "blocked", "chunk", "congestion", "duplicates", "field", "limit",
        "mss", "next", "pool", "queue", "recover", "resend", "retries",
        "rto", "scoreboard", "shift", "superframe", "threshold", "timed_out_at", "timer", "una",
        "urgent", "window",
    )  # fmt: skip

    def __init__(self, first: int, pool: Pool, limits: Limits) -> None:
        self.una = self.next = first
        self.pool = pool
        self.limit = limits.send_window
        self.mss = 536
        self.superframe = 536  # the most that goes into one frame or one chain of them
        self.chunk = 536
        self.window = self.field = self.shift = 0
        self.queue: deque[Sent] = deque()
        self.blocked = False  # room() was asked for and there was none
        self.congestion = min(FIRST_CONGESTION_WINDOW, self.limit)
        self.threshold = self.limit
        self.duplicates = 0
        self.recover: int | None = None
        self.resend = first
        self.timed_out_at: int | None = None  # recovery began by a time-out, not by SACK
        self.urgent = False  # one piece may be sent whatever the congestion window says
        self.scoreboard = Scoreboard(first)
        self.rto = Timeout()
        self.timer = math.inf
        self.retries = 0

    def sized(self, mss: int, superframe: int) -> None:
        """The handshake settled how large segments are, and what the port takes at once."""
        self.mss, self.superframe = mss, superframe
        self.chunk = max(mss, min(MIN_CHUNK, superframe))

    @property
    def in_flight(self) -> int:
        """How many sequence numbers are unacknowledged."""
        return (self.next - self.una) & MASK

    def room(self) -> int:
        """How many bytes may be sent now; 0 also when less than is worth a frame."""
        flight = (self.next - self.una) & MASK
        window, congestion = self.window, self.congestion
        if self.recover is not None:
            congestion += self.scoreboard.size
        room = min(congestion, window) - flight
        if room >= self.superframe <= congestion >> 2:
            return self.superframe if len(self.queue) < MAX_ENTRIES else 0
        if flight and room < max(self.mss, min(self.chunk, window >> 2, congestion >> 2)):
            return 0
        if room <= 0 or len(self.queue) >= MAX_ENTRIES:
            return 0
        room = min(room, self.superframe, max(congestion >> 2, self.mss))
        return room if room < self.mss else room - room % self.mss

    def sent(self, payload: memoryview, buffer: SendBuffer | None, now: float) -> None:
        """New data is on its way, beginning at `next`."""
        start = self.next
        end = self.next = (start + len(payload)) & MASK
        self.queue.append(Sent(start, end, payload, buffer, False))
        if not self.rto.timing:
            self.rto.start(end, now)
        if self.timer == math.inf:
            self.timer = now + self.rto.seconds

    def finished(self, now: float) -> None:
        """A FIN is on its way."""
        start, self.next = self.next, (self.next + 1) & MASK
        self.queue.append(Sent(start, self.next, memoryview(b""), None, True))
        if self.timer == math.inf:
            self.timer = now + self.rto.seconds

    def opened(self, now: float) -> None:
        """A SYN is on its way: it takes a number, but is not in the queue."""
        self.next = (self.una + 1) & MASK
        self.rto.start(self.next, now)
        self.timer = now + self.rto.seconds

    @property
    def is_steady(self) -> bool:
        """Whether an acknowledgment needs nothing but `advance`."""
        return self.recover is None and not self.duplicates

    def advance(self, number: int, now: float) -> None:
        """Everything before `number` (after una, at most next) is acknowledged."""
        acked = (number - self.una) & MASK
        self.una = number
        if self.scoreboard.ranges:
            self.scoreboard.advance(number)
        else:
            self.scoreboard.una = number
        queue = self.queue
        while queue and not (number - queue[0].end) & 0x80000000:
            buffer = queue.popleft().buffer
            if buffer is not None:
                self.pool.give_back(buffer)
        if self.rto.timing:
            self.rto.acknowledged(number, now)
        if self.congestion < self.limit and (self.recover is None or self.timed_out_at is not None):
            self._grow(acked)
        if self.retries:
            self.retries = 0
            self.rto.restore()
        self.timer = now + self.rto.seconds if self.next != number else math.inf

    def _grow(self, acked: int) -> None:
        if self.congestion >= self.threshold:
            acked = max(self.mss * acked // self.congestion, 1)
        self.congestion = min(self.congestion + acked, self.limit)

    def acknowledged(
        self, number: int, blocks: tuple[tuple[int, int], ...], is_bare: bool, now: float
    ) -> None:
        """An acknowledgment that may be more than steady progress.

        `is_bare`: it carries nothing else, and the same window as before, so that without
        progress it is a duplicate. Call `pieces` next.
        """
        progress = number != self.una
        if progress:
            self.advance(number, now)
        self.scoreboard.add(blocks, self.next)
        if self.recover is not None:
            self._recovering(progress)
        elif progress:
            self.duplicates = 0
        elif is_bare and self.in_flight:
            self.duplicates += 1
        lost = self.duplicates >= _DUPLICATES or self.scoreboard.size > _DUPLICATES * self.mss
        if self.recover is None and lost and self.in_flight:
            self._enter_recovery()
            self.congestion = self.threshold

    def _recovering(self, progress: bool) -> None:
        assert self.recover is not None
        if seqnum.at_most(self.recover, self.una):
            self.recover = self.timed_out_at = None
            self.duplicates = 0
        elif progress:
            self.urgent = self.timed_out_at is None  # the next hole, whatever the window says
            bare = self.urgent and not self.scoreboard.ranges  # NewReno: it begins at una
            if bare or seqnum.before(self.resend, self.una):
                self.resend = self.una
        elif seqnum.distance(self.recover, self.scoreboard.highest) > _DUPLICATES * self.mss:
            # what was sent after it has arrived: what was sent again is lost once more
            self.recover, self.timed_out_at = self.next, None
            self.resend, self.urgent = self.una, True

    def _enter_recovery(self) -> None:
        self.threshold = max(self.in_flight // 2, MIN_THRESHOLD)
        self.recover = self.next
        self.resend = self.una
        self.duplicates = 0
        self.urgent = True
        self.rto.cancel()

    def expired(self, now: float) -> None:
        """The retransmission timer went off. Call `pieces` next."""
        if self.timed_out_at is None:
            self._enter_recovery()
        self.retries += 1
        self.timed_out_at = self.recover = self.next
        self.resend = self.una
        self.scoreboard.clear()  # the machine may have thrown it away
        self.congestion = self.mss
        self.urgent = True
        self.rto.cancel()
        self.rto.back_off()
        self.timer = now + self.rto.seconds

    def lose_all(self) -> None:
        """Nothing in flight will arrive, and not for congestion. Call `pieces` next."""
        if self.queue:
            self.timed_out_at = self.recover = self.next
            self.resend = self.una
            self.duplicates = 0
            self.urgent = True
            self.rto.cancel()

    def pieces(self) -> Iterator[tuple[int, memoryview, bool]]:
        """What is to be sent again now: sequence number, bytes, whether a FIN follows them."""
        if self.recover is None:
            return
        end = self._lost_end()
        while hole := self.scoreboard.hole(self.resend, end):
            start, limit = hole
            allowance = self.congestion - self._pipe(end)
            if allowance <= 0 and not self.urgent:
                return
            piece = self._piece(start, limit, max(allowance, self.mss))
            if piece is None:
                return
            self.urgent = False
            self.resend = seqnum.add(start, len(piece[1]) + piece[2])
            yield piece

    def _lost_end(self) -> int:
        """Up to where what is not SACKed is taken for lost."""
        if self.timed_out_at is not None:
            return self.timed_out_at
        if self.scoreboard.ranges:
            return self.scoreboard.highest
        return seqnum.add(self.una, min(self.mss, self.in_flight))

    def _pipe(self, lost_end: int) -> int:
        """How many bytes are thought to be on the link: beyond the losses, and sent again."""
        again = max(seqnum.distance(self.una, self.resend), 0)
        return (
            max(seqnum.distance(lost_end, self.next), 0)
            + again
            - self.scoreboard.size_before(seqnum.add(self.una, again))
        )

    def _piece(self, start: int, limit: int, most: int) -> tuple[int, memoryview, bool] | None:
        """What lies at `start` in the queue: at most `most` bytes, whole segments, one entry."""
        for entry in self.queue:
            if seqnum.before(start, entry.end):
                if seqnum.before(start, entry.start):
                    return None
                begin = seqnum.distance(entry.start, start)
                size = min(most - most % self.mss, self.superframe, seqnum.distance(start, limit))
                payload = entry.payload[begin : begin + size]
                return start, payload, entry.fin and begin + size > len(entry.payload)
        return None

    def release(self) -> None:
        """The flow is over; what it held is given up."""
        for entry in self.queue:
            if entry.buffer is not None:
                self.pool.forget()
        self.queue.clear()
        self.timer = math.inf
