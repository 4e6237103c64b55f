"""What happened on a network: numbered, kept for a while, to be read again and followed.

Numbers go up by one, from 1. Who has read up to a number asks for what came `after` it; a first
entry with a higher number than expected says that some were forgotten.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice

import msgspec

from sampan.base import log

MAX_ENTRIES = 4096
_log = log.get(__name__)


class Entry(msgspec.Struct, frozen=True, gc=False):
    """Something that happened. `kind` is dotted (`flow.opened`), `data` a frozen value.

    `time_s` counts from 1970.
    """

    number: int
    time_s: float
    kind: str
    data: msgspec.Struct | None = None


class EventLog:
    """The last `capacity` entries. `wall` gives the seconds since 1970."""

    def __init__(self, wall: Callable[[], float], capacity: int = MAX_ENTRIES) -> None:
        self._wall = wall
        self._entries: deque[Entry] = deque(maxlen=capacity)
        self._number = 0
        self._followers: list[Callable[[Entry], None]] = []

    @property
    def last(self) -> int:
        """The number of the last entry; 0 if there was none."""
        return self._number

    def append(self, kind: str, data: msgspec.Struct | None = None) -> Entry:
        """Note it, and tell those that follow. One that raises is told no more."""
        self._number += 1
        entry = Entry(self._number, self._wall(), kind, data)
        self._entries.append(entry)
        for follower in tuple(self._followers):
            try:
                follower(entry)
            except Exception:  # noqa: BLE001  a reader's fault is not the network's
                _log.exception("a follower of events failed, and is told no more")
                self._followers.remove(follower)
        return entry

    def after(self, number: int = 0, kind: str = "") -> list[Entry]:
        """The entries behind that number that are still there, oldest first.

        `kind` narrows them to kinds that begin with it.
        """
        skipped = max(0, number - (self._number - len(self._entries)))
        found = islice(self._entries, skipped, None)
        return [each for each in found if each.kind.startswith(kind)]

    def follow(self, follower: Callable[[Entry], None]) -> Callable[[], None]:
        """Call `follower` with each new entry; call what is returned to end it."""
        self._followers.append(follower)

        def end() -> None:
            if follower in self._followers:
                self._followers.remove(follower)

        return end
