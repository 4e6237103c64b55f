"""Sizes as people write them: `512M`, `1.5GiB`, `1024`."""

from __future__ import annotations

import re
from fractions import Fraction

_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGTP]?)(i?B)?\s*", re.IGNORECASE)


def parse_size(text: str, *, unit: str = "") -> int:
    """The number of bytes that `text` means; a bare number counts in `unit` (`""`, `K`, `M`, …).

    A `B` behind it without a prefix makes it bytes, whatever the unit. All prefixes are binary, as
    in QEMU and LinuxKit: `1K` = `1KB` = `1KiB` = 1024.

    Raises:
        ValueError: `text` is not a size.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a size (say 512M, 1.5G or a number)")
    number, prefix, suffix = match.groups()
    default = "" if suffix else unit
    return int(Fraction(number) * 1024 ** _POWERS[prefix.upper() or default])


def format_size(size_bytes: int) -> str:
    """`size_bytes` for people, three digits: `512 B`, `1.50 MiB`, `120 MiB`."""
    value = float(size_bytes)
    for prefix in ("", "Ki", "Mi", "Gi", "Ti", "Pi"):
        if value < 1000 or prefix == "Pi":
            break
        value /= 1024
    if not prefix:
        return f"{size_bytes} B"
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f} {prefix}B"
