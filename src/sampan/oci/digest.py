"""Content digests, `sha256:<hex>`: the names by which everything in an image is found.

Knows hashing and nothing else; who checks what is decided by the callers.
(OCI image specification, "Digests".)
"""

from __future__ import annotations

import hashlib
import re
from typing import Self, final

from sampan.errors import SampanError

_HEX_LENGTHS = {"sha256": 64, "sha512": 128}
_FORM = re.compile(r"([a-z0-9]+(?:[.+_-][a-z0-9]+)*):([a-zA-Z0-9=_-]+)")
_SHOWN = 200


class InvalidDigestError(SampanError):
    """Text that should be a digest is not one."""


class DigestMismatchError(SampanError):
    """Bytes are not the ones their digest promised."""

    def __init__(self, what: str, expected: str, found: str) -> None:
        self.expected = expected
        self.found = found
        super().__init__(
            f"{what} is damaged: expected {expected}, got {found}",
            hint="fetch it again; if it stays so, the place it comes from has a bad copy",
        )


@final
class Digest(str):
    """A checked digest. It is its text, so it can be compared, sorted, hashed and printed."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Check `text`, see `parse`."""
        match = _FORM.fullmatch(text)
        if match is None:
            raise InvalidDigestError(
                f"{text[:_SHOWN]!r} is not a digest",
                hint="a digest looks like sha256:<64 hex digits>",
            )
        algorithm, hexadecimal = match.groups()
        length = _HEX_LENGTHS.get(algorithm)
        if length is None:
            raise InvalidDigestError(
                f"digest algorithm {algorithm[:_SHOWN]!r} is not supported",
                hint=f"known are {' and '.join(_HEX_LENGTHS)}",
            )
        if len(hexadecimal) != length or not re.fullmatch("[0-9a-f]+", hexadecimal):
            raise InvalidDigestError(
                f"{text[:_SHOWN]!r} is not a digest",
                hint=f"{algorithm} has {length} lower-case hex digits",
            )
        return super().__new__(cls, text)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The digest that `text` says.

        Raises:
            InvalidDigestError: `text` is no digest, or of an algorithm other than sha256 and sha512.
        """
        return cls(text)

    @classmethod
    def of(cls, data: bytes | memoryview) -> Self:
        """The sha256 digest of `data`."""
        return cls("sha256:" + hashlib.sha256(data).hexdigest())

    @property
    def algorithm(self) -> str:
        """`sha256` or `sha512`."""
        return self.partition(":")[0]

    @property
    def hex(self) -> str:
        """The digits after the colon."""
        return self.partition(":")[2]

    @property
    def short(self) -> str:
        """The first twelve digits, for people."""
        return self.hex[:12]

    def hasher(self) -> hashlib._Hash:
        """A fresh hash object of this digest's algorithm."""
        return hashlib.new(self.algorithm)

    def matches(self, hasher: hashlib._Hash) -> bool:
        """Whether what `hasher` has seen is what this digest names."""
        return hasher.hexdigest() == self.hex
