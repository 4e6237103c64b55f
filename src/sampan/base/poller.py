"""Which descriptors are ready: epoll, or whatever `selectors` has where there is no epoll.

The second never ran but in tests, which use it on Linux; it is for macOS.
"""

from __future__ import annotations

import select
import selectors
from typing import Protocol

READ, WRITE, ERROR, HANGUP = 0x1, 0x4, 0x8, 0x10  # epoll's numbers
CLOSED = 0x2000  # told by epoll only: the peer writes no more
EDGE = 1 << 31  # heeded by epoll only: told once for each change, not as long as it is so


class Poller(Protocol):
    """Level-triggered readiness; the part of `select.epoll` that is needed."""

    def register(self, fd: int, eventmask: int, /) -> None:
        """Begin to watch a descriptor."""

    def modify(self, fd: int, eventmask: int, /) -> None:
        """Watch it for something else."""

    def unregister(self, fd: int, /) -> None:
        """Watch it no more."""

    def poll(self, timeout: float | None = None, /) -> list[tuple[int, int]]:
        """The descriptors that are ready, and what for. `timeout` in seconds, None: for ever."""

    def close(self) -> None:
        """Give its own descriptor back."""


class SelectorPoller:
    """A `Poller` made of `selectors.DefaultSelector` (kqueue on macOS).

    What is ready to be written to may as well be broken: it cannot tell, and says both.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def register(self, fd: int, eventmask: int, /) -> None:
        """See `Poller.register`."""
        self._selector.register(fd, _to_selectors(eventmask))

    def modify(self, fd: int, eventmask: int, /) -> None:
        """See `Poller.modify`."""
        self._selector.modify(fd, _to_selectors(eventmask))

    def unregister(self, fd: int, /) -> None:
        """See `Poller.unregister`."""
        self._selector.unregister(fd)

    def poll(self, timeout: float | None = None, /) -> list[tuple[int, int]]:
        """See `Poller.poll`."""
        return [(key.fd, _from_selectors(events)) for key, events in self._selector.select(timeout)]

    def close(self) -> None:
        """See `Poller.close`."""
        self._selector.close()


def new_poller() -> Poller:
    """The best poller of this system."""
    if hasattr(select, "epoll"):
        return select.epoll()
    return SelectorPoller()


def _to_selectors(events: int) -> int:
    found = selectors.EVENT_READ if events & READ else 0
    return found | (selectors.EVENT_WRITE if events & WRITE else 0)


def _from_selectors(events: int) -> int:
    found = READ if events & selectors.EVENT_READ else 0
    return found | (WRITE | ERROR if events & selectors.EVENT_WRITE else 0)
