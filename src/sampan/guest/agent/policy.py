"""When a service that ended is started again. Pure: time comes in, a delay comes out."""

from __future__ import annotations

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0
STABLE_S = 10.0  # a service that ran this long starts again from the first delay


class Backoff:
    """The restarts of one service: `restart` is `no`, `on-failure` or `always`."""

    __slots__ = ("_next_delay_s", "restart")

    def __init__(self, restart: str) -> None:
        self.restart = restart
        self._next_delay_s = FIRST_DELAY_S

    def after(self, status: int, ran_s: float) -> float | None:
        """Seconds to wait before the next start, or None: the service stays down.

        `status` is how it ended (0: well), `ran_s` how long it had been running. Each failure
        in a row doubles the delay.
        """
        if self.restart == "no" or (self.restart == "on-failure" and status == 0):
            return None
        if ran_s >= STABLE_S:
            self.reset()
        delay = self._next_delay_s
        self._next_delay_s = min(delay * 2, LONGEST_DELAY_S)
        return delay

    def reset(self) -> None:
        """Forget earlier failures: somebody started the service by hand."""
        self._next_delay_s = FIRST_DELAY_S
