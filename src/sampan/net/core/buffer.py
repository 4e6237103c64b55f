"""Buffers for what is on its way to a machine, and the account of what waits for the host.

A `SendBuffer` has room for headers in front of its payload: the host's data is received
straight behind that room, headers are filled in before it, and frame and retransmission are
views of the same memory. Buffers go back to the pool when they are acknowledged, and only
then: a view of one may wait in a queue of the runtime as long as its flow lives.
"""

from __future__ import annotations

HEADROOM = 128  # offload header 12, Ethernet 14, IPv6 40, TCP 60
CAPACITY = 65536


class SendBuffer:
    """64 KiB of payload with room in front. `payload` is a writable view of the whole."""

    __slots__ = ("data", "payload", "view")

    def __init__(self) -> None:
        self.data = bytearray(HEADROOM + CAPACITY)
        self.view = memoryview(self.data)
        self.payload = self.view[HEADROOM:]


class Pool:
    """The send buffers of a stack: at most `bound` of them, made when first needed."""

    __slots__ = ("bound", "free", "lent")

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self.free: list[SendBuffer] = []
        self.lent = 0

    @property
    def available(self) -> int:
        """How many more buffers there are to be had."""
        return self.bound - self.lent

    @property
    def is_empty(self) -> bool:
        """Whether there is no buffer to be had until a machine acknowledges something."""
        return self.lent >= self.bound

    def spare(self) -> SendBuffer | None:
        """A buffer to receive into; it stays in the pool until a flow keeps it. None: no more."""
        if self.lent >= self.bound:
            return None
        if not self.free:
            self.free.append(SendBuffer())
        return self.free[-1]

    def keep(self, buffer: SendBuffer) -> None:
        """Take the buffer that `spare` gave out of the pool."""
        if self.free and self.free[-1] is buffer:
            self.free.pop()
        elif buffer in self.free:
            self.free.remove(buffer)
        self.lent += 1

    def give_back(self, buffer: SendBuffer) -> None:
        """A buffer was acknowledged: it may be used again."""
        self.lent -= 1
        self.free.append(buffer)

    def forget(self) -> None:
        """A buffer is given up, because a view of it may still wait to be sent."""
        self.lent -= 1

    def trim(self) -> None:
        """Give unused memory back to the system; for moments when nothing happens."""
        del self.free[1:]


class Account:
    """How many bytes all flows hold for the host, or out of order; bounded by `bound`."""

    __slots__ = ("bound", "held")

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self.held = 0

    def has_room(self, size: int) -> bool:
        """Whether `size` bytes more may be held."""
        return self.held + size <= self.bound
