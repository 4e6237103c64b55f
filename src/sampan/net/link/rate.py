"""A limit on how fast frames pass: a token bucket with a queue behind it.

Tokens are bytes; they come at `bytes_per_s` and at most `burst_bytes` are kept. A frame that
finds too few waits its turn; when the queue is full the frame is lost, which is what makes TCP
slow down. A frame larger than the burst passes when the bucket is full, and leaves a debt.

Use as `fault`: `frame`, `next_timer`, `timer_fired`, deliver what they return.
"""

from __future__ import annotations

from collections import deque

from sampan.errors import UsageError


class RateLimit:
    """Lets frames of one direction through.

    Args:
        bytes_per_s: the rate, at least 1.
        burst_bytes: how much may pass at once after a pause.
        queue_bytes: how much may wait.

    Raises:
        UsageError: a number is not positive.
    """

    def __init__(
        self, bytes_per_s: float, *, burst_bytes: int = 65_536, queue_bytes: int = 262_144
    ) -> None:
        if bytes_per_s < 1 or burst_bytes < 1 or queue_bytes < 0:
            raise UsageError(
                f"a rate of {bytes_per_s} bytes per second with a burst of {burst_bytes} bytes",
                hint="rates and bursts are at least 1",
            )
        self.lost = 0
        self._rate = bytes_per_s
        self._burst = float(burst_bytes)
        self._room = queue_bytes
        self._tokens = float(burst_bytes)
        self._at: float | None = None
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0

    def frame(self, frame: bytes, now: float) -> list[bytes]:
        """What to deliver at once when `frame` is sent; the rest follows by the timer."""
        self._fill(now)
        if not self._queue and self._may_pass(frame):
            self._tokens -= len(frame)
            return [frame]
        if self._queued_bytes + len(frame) > self._room:
            self.lost += 1
            return []
        self._queue.append(frame)
        self._queued_bytes += len(frame)
        return []

    def next_timer(self) -> float | None:
        """When the next frame that waits may pass."""
        if not self._queue or self._at is None:
            return None
        needed = min(float(len(self._queue[0])), self._burst) - self._tokens
        return self._at + max(0.0, needed) / self._rate

    def timer_fired(self, now: float) -> list[bytes]:
        """The frames that may pass by now."""
        due = self.next_timer()
        if due is None:
            return []
        self._fill(now)
        if now >= due:  # what rounding took from the last byte
            self._tokens = max(self._tokens, min(float(len(self._queue[0])), self._burst))
        passed: list[bytes] = []
        while self._queue and self._may_pass(self._queue[0]):
            frame = self._queue.popleft()
            self._queued_bytes -= len(frame)
            self._tokens -= len(frame)
            passed.append(frame)
        return passed

    def _may_pass(self, frame: bytes) -> bool:
        return self._tokens >= min(len(frame), self._burst)

    def _fill(self, now: float) -> None:
        if self._at is not None:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
