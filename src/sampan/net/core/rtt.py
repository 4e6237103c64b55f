"""How long to wait for an acknowledgment (RFC 6298).

One segment is timed at a time, and none that was sent twice (Karn's rule), which on a link of
microseconds is as good as timestamps. The lower bound is Linux's 200 ms and not the RFC's
second: a machine that was paused is slow, but a lost frame should not be felt.
"""

from __future__ import annotations

from sampan.net.wire import seqnum

FIRST_S = 1.0
MIN_S = 0.2
MAX_S = 60.0


class Timeout:
    """The retransmission time-out in `seconds`, and what it is made from."""

    __slots__ = ("deviation", "end", "seconds", "since", "smoothed", "timing")

    def __init__(self) -> None:
        self.smoothed = 0.0
        self.deviation = 0.0
        self.seconds = FIRST_S
        self.timing = False
        self.end = 0
        self.since = 0.0

    def start(self, end: int, now: float) -> None:
        """Time the segment that ends before sequence number `end`."""
        self.timing, self.end, self.since = True, end, now

    def acknowledged(self, number: int, now: float) -> None:
        """Everything before `number` has arrived."""
        if seqnum.at_most(self.end, number):
            self.timing = False
            self.sample(max(now - self.since, 0.0))

    def cancel(self) -> None:
        """What is being timed was sent again: its acknowledgment would tell nothing."""
        self.timing = False

    def sample(self, measured: float) -> None:
        """A round trip took this long."""
        if self.smoothed:
            self.deviation += (abs(self.smoothed - measured) - self.deviation) / 4
            self.smoothed += (measured - self.smoothed) / 8
        else:
            self.smoothed, self.deviation = measured or 1e-6, measured / 2
        self.restore()

    def restore(self) -> None:
        """There was progress: forget that it was backed off, as nothing may be timed for long."""
        if self.smoothed:
            seconds = self.smoothed + 4 * self.deviation
            self.seconds = MIN_S if seconds < MIN_S else min(seconds, MAX_S)

    def back_off(self) -> None:
        """It passed without an answer: wait twice as long."""
        self.seconds = min(self.seconds * 2, MAX_S)
