"""The log of pages that the device wrote, for a front-end that moves the machine elsewhere.

One bit for each page of 4096 bytes of guest physical addresses, the lowest bit first. We only
set bits and the front-end only clears them, so a byte that both change at once is at worst
marked again.
"""

from __future__ import annotations

PAGE_BITS = 12


class DirtyLog:
    """A log in memory that is shared with the front-end."""

    __slots__ = ("_bits",)

    def __init__(self, bits: memoryview) -> None:
        self._bits = bits

    def mark(self, address: int, length: int) -> None:
        """These bytes of the guest were written. What lies beyond the log is not marked."""
        if length <= 0:
            return
        bits = self._bits
        last = min((address + length - 1) >> PAGE_BITS, len(bits) * 8 - 1)
        for page in range(address >> PAGE_BITS, last + 1):
            bits[page >> 3] |= 1 << (page & 7)
