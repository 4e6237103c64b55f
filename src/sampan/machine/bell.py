"""Waiting, in asyncio, until something has changed: look, wait for the bell, look again.

Unlike an `asyncio.Event` it need not be cleared, and unlike an `asyncio.Condition` it has no lock,
so that callbacks can ring it.
"""

from __future__ import annotations

import asyncio


class Bell:
    """Wakes all who wait, each time it rings. For one event loop."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    async def wait(self) -> None:
        """Wait until it rings. What one waited for need not be so then."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)

    def ring(self) -> None:
        """Wake those who wait now."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
