"""The records of PAX extended headers: `LENGTH KEY=VALUE` and a newline, and what they say.

Pure. (POSIX.1-2017 pax "pax Extended Header"; `SCHILY.xattr.*` is star's and GNU tar's way to
keep extended attributes, `LIBARCHIVE.xattr.*` that of bsdtar.)
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

Records = dict[str, bytes]

XATTR_PREFIX = "SCHILY.xattr."
_LIBARCHIVE_PREFIX = "LIBARCHIVE.xattr."
_LENGTH_DIGITS = 10
_TIME = re.compile(rb"(-?)(\d{1,20})(?:\.(\d*))?")
_NUMBER = re.compile(rb"\d{1,20}")
_NANOSECOND_DIGITS = 9


def decode(data: bytes) -> Records:
    """Read the records of one extended header; a later record of a key wins.

    Raises:
        ValueError: the text is not made of records.
    """
    records: Records = {}
    position = 0
    while position < len(data):
        space = data.find(b" ", position, position + _LENGTH_DIGITS + 1)
        digits = data[position:space]
        if space < 0 or not digits.isdigit():
            # some writers fill the header up with zeros
            if not data[position:].strip(b"\x00"):
                break
            raise ValueError("an extended header has a record without length")
        end = position + int(digits)
        if end > len(data) or end <= space + 1 or data[end - 1] != 0x0A:
            raise ValueError("an extended header has a record of the wrong length")
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals or not key:
            raise ValueError("an extended header has a record without key")
        records[key.decode("utf-8", "surrogateescape")] = value
        position = end
    return records


def encode(records: Mapping[str, bytes]) -> bytes:
    """Write the records, sorted by key, so that the same records give the same bytes."""
    return b"".join(
        _record(key.encode("utf-8", "surrogateescape"), value)
        for key, value in sorted(records.items())
    )


def number(records: Records, key: str, otherwise: int) -> int:
    """The number that record `key` holds, or `otherwise` without it.

    Raises:
        ValueError: it is not a decimal number.
    """
    value = records.get(key)
    if not value:
        return otherwise
    if not _NUMBER.fullmatch(value):
        raise ValueError(f"the {key} of an extended header is not a number")
    return int(value)


def time_ns(records: Records, key: str, otherwise: int) -> int:
    """The time in record `key` as nanoseconds since 1970, or `otherwise` without it.

    Raises:
        ValueError: it is not a decimal number.
    """
    value = records.get(key)
    if not value:
        return otherwise
    match = _TIME.fullmatch(value)
    if match is None:
        raise ValueError(f"the {key} of an extended header is not a time")
    sign, seconds, fraction = match.groups(b"")
    nanoseconds = int(seconds) * 10**9 + int(fraction[:_NANOSECOND_DIGITS].ljust(9, b"0"))
    return -nanoseconds if sign else nanoseconds


def format_time(time_ns: int) -> bytes:
    """Nanoseconds since 1970 as a record's value: `1.5`, `-0.25`, `12`."""
    seconds, fraction = divmod(abs(time_ns), 10**9)
    sign = "-" if time_ns < 0 else ""
    return f"{sign}{seconds}.{fraction:09d}".rstrip("0").rstrip(".").encode()


def xattrs(records: Records) -> tuple[tuple[str, bytes], ...]:
    """The extended attributes among the records, sorted by name.

    Raises:
        ValueError: a `LIBARCHIVE.xattr` value is not base64, or a name is empty or has a NUL.
    """
    found: dict[str, bytes] = {}
    for key, value in records.items():
        if key.startswith(_LIBARCHIVE_PREFIX):
            name = unquote_to_bytes(
                key.removeprefix(_LIBARCHIVE_PREFIX).encode("utf-8", "surrogateescape")
            ).decode("utf-8", "surrogateescape")
            found.setdefault(name, _base64(value))
    for key, value in records.items():
        if key.startswith(XATTR_PREFIX):
            found[key.removeprefix(XATTR_PREFIX)] = value
    if any(not name or "\x00" in name for name in found):
        raise ValueError("an extended attribute has an impossible name")
    return tuple(sorted(found.items()))


def is_sparse(records: Records) -> bool:
    """Whether the records say that the content is one of GNU tar's sparse forms."""
    return any(key.startswith("GNU.sparse.") for key in records)


def _base64(value: bytes) -> bytes:
    try:
        # bsdtar leaves out the padding
        return base64.b64decode(value.rstrip(b"=") + b"=" * (-len(value.rstrip(b"=")) % 4))
    except binascii.Error as error:
        raise ValueError("an extended attribute is not base64") from error


def _record(key: bytes, value: bytes) -> bytes:
    body = len(key) + len(value) + 3  # the space, the `=` and the newline
    length = body + len(str(body))
    length = body + len(str(length))  # the digits may have made it one digit longer
    return b"%d %b=%b\n" % (length, key, value)
