"""TCP sequence numbers: 32 bits that wrap (RFC 9293, section 3.4).

Plain ints, because there is one for each segment; all arithmetic on them is here. Two
numbers can be compared only when they are less than 2³¹ apart, which windows guarantee.
"""

from __future__ import annotations

MASK = 0xFFFFFFFF
_SIGN = 0x80000000


def add(number: int, amount: int) -> int:
    """`number` moved on by `amount` (which may be negative)."""
    return (number + amount) & MASK


def distance(start: int, end: int) -> int:
    """How far `end` is after `start`: from -2³¹ to 2³¹-1."""
    return (((end - start) & MASK) ^ _SIGN) - _SIGN


def before(a: int, b: int) -> bool:
    """Whether `a` comes before `b`."""
    return (a - b) & _SIGN != 0


def at_most(a: int, b: int) -> bool:
    """Whether `a` comes before `b` or is `b`."""
    return (b - a) & _SIGN == 0


def latest(a: int, b: int) -> int:
    """The later of two."""
    return b if (a - b) & _SIGN else a
