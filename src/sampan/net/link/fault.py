"""A bad network on purpose: frames lost, late, out of order, twice or damaged.

A transform around any link, one for each direction. Each frame draws from `random` (numbers
from 0 to below 1; a seeded one makes a run that can be repeated), in the fixed order
loss, duplication, corruption, delay, reordering, whatever the rates: changing one rate does not
change the fate of the other frames.

Give each frame to `frame` and deliver what it returns; call `timer_fired` when `next_timer` is
due and deliver what that returns. What waits is bounded: frames beyond are lost, as in any queue.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

import msgspec

from sampan.errors import UsageError

MAX_WAITING = 4096


class Faults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How bad it is. Rates are shares of all frames from 0 to 1, times are seconds.

    `jitter_s` adds up to that much to the delay, and a frame may overtake another then;
    a reordered frame is held back by `reorder_s` more.
    """

    loss: float = 0
    duplicate: float = 0
    corrupt: float = 0
    reorder: float = 0
    delay_s: float = 0
    jitter_s: float = 0
    reorder_s: float = 0.01

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            UsageError: a rate is not from 0 to 1, or a time is negative.
        """
        for name in ("loss", "duplicate", "corrupt", "reorder"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} is {getattr(self, name)}, not a share from 0 to 1")
        for name in ("delay_s", "jitter_s", "reorder_s"):
            if not 0 <= getattr(self, name) <= 3600:
                raise UsageError(f"{name} is {getattr(self, name)}, not 0 to 3600 seconds")


class FaultInjector:
    """Does to frames what `faults` says, which may be replaced at any time."""

    def __init__(self, faults: Faults, random: Callable[[], float]) -> None:
        self.faults = faults
        self.lost = 0
        self._random = random
        self._waiting: list[tuple[float, int, bytes]] = []
        self._count = 0

    def frame(self, frame: bytes, now: float) -> list[bytes]:
        """What to deliver at once when `frame` is sent; the rest follows by the timer."""
        faults, random = self.faults, self._random
        draws = [random() for _ in range(6)]
        if draws[0] < faults.loss:
            self.lost += 1
            return []
        copies = 2 if draws[1] < faults.duplicate else 1
        if draws[2] < faults.corrupt and frame:
            frame = _damaged(frame, draws[3])
        delay_s = faults.delay_s + draws[4] * faults.jitter_s
        if draws[5] < faults.reorder:
            delay_s += faults.reorder_s
        if delay_s == 0:
            return [frame] * copies
        for _ in range(copies):
            if len(self._waiting) >= MAX_WAITING:
                self.lost += 1
                continue
            self._count += 1  # frames of one moment keep their order
            heapq.heappush(self._waiting, (now + delay_s, self._count, frame))
        return []

    def next_timer(self) -> float | None:
        """When the next frame that waits is due."""
        return self._waiting[0][0] if self._waiting else None

    def timer_fired(self, now: float) -> list[bytes]:
        """The frames that are due."""
        due: list[bytes] = []
        while self._waiting and self._waiting[0][0] <= now:
            due.append(heapq.heappop(self._waiting)[2])
        return due


def _damaged(frame: bytes, where: float) -> bytes:
    """`frame` with one bit flipped."""
    bit = int(where * len(frame) * 8)
    changed = bytearray(frame)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
