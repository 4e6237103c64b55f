"""A link whose other end is in this process: frames as bytes, in and out, for embedding and tests.

What the network sends is handed to `peer` in the loop's thread, a batch at a time. What `peer`
sends is given to `give`, from any thread; it waits in a bounded queue until the loop's turn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress

from sampan.base.loop import LoopClosedError
from sampan.net.core.port import Frame
from sampan.net.runtime.engine import Plug

BATCH = 64
MAX_QUEUED = 4096  # frames


class MemoryLink:
    """Frames to and from `peer`. With `head`, each has an offload header of that length in front.

    `lost` counts the frames that came while too many waited.
    """

    def __init__(self, peer: Callable[[list[bytes]], None], *, head: int = 0) -> None:
        self.head = head
        self.lost = 0
        self._peer = peer
        self._plug: Plug | None = None
        self._queue: deque[bytes] = deque()
        self._is_due = False  # somebody has asked the loop to look at the queue

    def start(self, plug: Plug) -> None:
        """See `Link.start`."""
        self._plug = plug
        self._ask()

    def give(self, *frames: bytes) -> None:
        """Send frames to the network; from any thread. Beyond the bound they are lost."""
        for frame in frames:
            if len(self._queue) >= MAX_QUEUED:
                self.lost += 1
            else:
                self._queue.append(frame)
        if not self._is_due:
            self._ask()

    def _ask(self) -> None:
        if self._plug is not None:
            self._is_due = True
            with suppress(LoopClosedError):  # the network has ended: nobody wants the frames
                self._plug.loop.submit(self._deliver)

    def _deliver(self) -> None:
        self._is_due = False  # before looking: what comes from now on asks again
        if self._plug is None:
            return
        queue = self._queue
        frames = [memoryview(queue.popleft()) for _ in range(min(BATCH, len(queue)))]
        if frames:
            self._plug.received(frames)
        if queue and not self._is_due:
            self._ask()

    def send(self, frames: list[Frame]) -> None:
        """See `Link.send`."""
        self._peer([b"".join(frame) for frame in frames])

    def close(self) -> None:
        """See `Link.close`."""
        self._plug = None
        self._queue.clear()
