"""The console of a running machine, for any number of viewers, and for whoever of them types.

The machine never waits for a viewer: one that is slow is told how much it has missed.
"""

from __future__ import annotations

import asyncio

from sampan.machine.console import Console
from sampan.machine.supervise.model import ConsoleAsked
from sampan.machine.supervise.server import Call
from sampan.machine.supervise.stream import Stream

KEPT_BYTES = 64 << 10
_MAX_PENDING_BYTES = 1 << 20


class Screen:
    """Shows a console to viewers; to be made before the machine says anything."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._recent = bytearray()
        self._missed: dict[Stream, int] = {}
        console.attach(self._said)

    @property
    def viewers(self) -> int:
        """How many there are."""
        return len(self._missed)

    def recent(self, count: int) -> bytes:
        """The last `count` bytes that the console said, as far as they are kept."""
        return bytes(self._recent[-count:]) if count > 0 else b""

    async def view(self, call: Call[ConsoleAsked]) -> None:
        """The method `console`: be a viewer until the client leaves, or the machine has ended."""
        stream = call.upgrade()
        stream.write(self.recent(call.params.replay_bytes))
        self._missed[stream] = 0
        try:
            async with asyncio.TaskGroup() as tasks:
                closing = tasks.create_task(self._close_at_end(stream), name="console viewer")
                while typed := await stream.read():
                    if call.params.write and self._console.live:
                        self._console.send(typed)
                closing.cancel()
        finally:
            del self._missed[stream]

    async def _close_at_end(self, stream: Stream) -> None:
        await self._console.closed()
        stream.close()

    def _said(self, data: bytes) -> None:
        self._recent += data
        del self._recent[:-KEPT_BYTES]
        for stream, missed in self._missed.items():
            if stream.pending_bytes > _MAX_PENDING_BYTES:
                self._missed[stream] += len(data)
                continue
            if missed:
                stream.write(b"\r\n[sampan: %d bytes were not shown]\r\n" % missed)
                self._missed[stream] = 0
            stream.write(data)
