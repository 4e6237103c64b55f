"""The Internet checksum (RFC 1071): the ones' complement of a ones' complement sum.

A number of many bytes taken modulo 65535 *is* that sum, because 2¹⁶ = 1 modulo 65535; one
big integer division in C beats any loop over words. Division is the slow half of that, so
the halves of a long number are first added to one another, until little is left to divide.
The only care: a sum of 0 and one of 65535 are the same residue, and only all-zero data sums
to 0.
"""

from __future__ import annotations

from typing import TypeAlias

Buffer: TypeAlias = bytes | bytearray | memoryview


_LEAST = 256  # bytes; what is shorter is divided as it is
# by the bit length of a size: how far to shift, and what is left below, for each time to fold
_FOLDS = tuple(
    tuple(
        (8 << power, (1 << (8 << power)) - 1)
        for power in range(length - 1, _LEAST.bit_length() - 2, -1)
    )
    for length in range(18)
)


def residue(data: Buffer) -> int:
    """The sum of the 16-bit words of `data` modulo 65535, an odd last byte padded with zero.

    Of at most 128 KiB. Quicker than `word_sum`, where 0 and 65535 need not be told apart.
    """
    size = len(data)
    number = int.from_bytes(data, "big")
    if size & 1:
        number <<= 8
    for shift, mask in _FOLDS[size.bit_length()]:
        number = (number >> shift) + (number & mask)
    return number % 0xFFFF


def word_sum(data: Buffer) -> int:
    """The folded sum of the 16-bit words of `data`, an odd last byte padded with zero."""
    return residue(data) or (0xFFFF if any(data) else 0)


def fold(total: int) -> int:
    """Carry the upper bits of a sum of words into the lower 16."""
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def checksum(*parts: Buffer) -> int:
    """The checksum over `parts` as if joined; all but the last must have an even length."""
    return 0xFFFF ^ fold(sum(map(word_sum, parts)))


def verifies(*parts: Buffer) -> bool:
    """Whether data that contains its own checksum is intact."""
    return fold(sum(map(word_sum, parts))) == 0xFFFF


def pseudo_sum(source: bytes, destination: bytes, protocol: int, length: int) -> int:
    """The folded sum of the pseudo header that TCP and UDP cover (RFC 9293, 3.1; RFC 8200, 8.1).

    `length` is that of the transport header and payload. This is also what a sender leaves in
    the checksum field when the device finishes the sum (checksum offload).
    """
    return fold(
        word_sum(source) + word_sum(destination) + protocol + (length >> 16) + (length & 0xFFFF)
    )
