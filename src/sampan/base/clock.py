"""Time as something that is passed in, so that whatever depends on it can be tested."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Gives the time, in seconds."""

    def monotonic_s(self) -> float:
        """Seconds since some fixed moment; never goes back."""

    def wall_s(self) -> float:
        """Seconds since 1970-01-01T00:00Z."""


class SystemClock:
    """The clock of this computer."""

    def monotonic_s(self) -> float:
        """See `Clock.monotonic_s`."""
        return time.monotonic()

    def wall_s(self) -> float:
        """See `Clock.wall_s`."""
        return time.time()  # noqa: TID251  the one place that reads it
