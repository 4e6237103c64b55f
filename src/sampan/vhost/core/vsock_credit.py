"""Credit: how much data may be on its way, in counters that wrap at 2**32 (virtio 1.2, 5.10.6.3).

Each side tells with every packet how large its buffer is and how many bytes have ever left that
buffer; the other side knows how many it has ever sent. What the driver says is not believed
further than that it may cost its own connections their speed.
"""

from __future__ import annotations

_MASK = 0xFFFFFFFF


class Outflow:
    """What may be sent to the driver. `allocated` is how large its buffer is."""

    __slots__ = ("_forwarded", "_sent", "allocated")

    def __init__(self) -> None:
        self.allocated = self._forwarded = self._sent = 0

    def told(self, allocated: int, forwarded: int) -> None:
        """What the driver's last packet said."""
        self.allocated = allocated
        self._forwarded = forwarded

    def sent(self, size: int) -> None:
        """So many bytes are on their way."""
        self._sent = (self._sent + size) & _MASK

    @property
    def room(self) -> int:
        """How many more bytes the driver will take now; 0, too, if it has shrunk its buffer."""
        return max(0, self.allocated - ((self._sent - self._forwarded) & _MASK))


class Inflow:
    """What the driver may send: as much as a buffer of `buffer` bytes has room for."""

    __slots__ = ("_promised", "_received", "buffer", "forwarded")

    def __init__(self, buffer: int) -> None:
        self.buffer = buffer
        self.forwarded = 0  # how many bytes have left the buffer
        self._received = 0
        self._promised = 0  # `forwarded` as the driver was told last

    def arrived(self, size: int) -> bool:
        """So many bytes came. False: they are more than there was room for."""
        self._received = (self._received + size) & _MASK
        return (self._received - self.forwarded) & _MASK <= self.buffer

    def passed_on(self, size: int) -> None:
        """So many bytes have left the buffer."""
        self.forwarded = (self.forwarded + size) & _MASK

    def promised(self) -> None:
        """A packet tells the driver what `forwarded` is now."""
        self._promised = self.forwarded

    def is_due(self, theirs: int) -> bool:
        """Whether the driver is to be told that there is room again, before it runs out of it.

        `theirs` is how large its own buffer is: since 2026 (6.12.117 does) Linux lets no more be on
        its way than it would take itself.
        """
        window = min(self.buffer, theirs)
        return (self.forwarded - self._promised) & _MASK > window // 4
