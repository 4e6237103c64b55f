"""The server's name out of the first bytes of a TLS connection (RFC 6066, 3).

A ClientHello may be spread over several records and segments, so the result is one of three:
a name, "none" (it is TLS without a name, or no TLS at all), or "more": call again with more of
the same bytes. At most `MAX_HELLO` bytes are looked at.
"""

from __future__ import annotations

from enum import Enum

MAX_HELLO = 16_384
_HANDSHAKE, _CLIENT_HELLO, _SERVER_NAME, _HOST_NAME = 22, 1, 0, 0


class Verdict(Enum):
    """What there is instead of a name."""

    NONE = "none"
    MORE = "more"


class _ShortError(Exception):
    """The bytes end before the field does."""


def server_name(data: bytes) -> str | Verdict:
    """The lower-case name that a client asks for in `data`, its stream from the start."""
    try:
        hello = _hello(data[:MAX_HELLO])
    except _ShortError:
        return Verdict.MORE if len(data) < MAX_HELLO else Verdict.NONE
    if hello is None:
        return Verdict.NONE
    try:
        return _name(hello)
    except _ShortError:
        return Verdict.NONE


def _hello(data: bytes) -> bytes | None:
    """The body of the ClientHello, joined from its records; None if it is something else."""
    joined = b""
    position = 0
    while True:
        head = data[position : position + 5]
        if head[:1] not in (b"", bytes([_HANDSHAKE])) or head[1:2] not in (b"", b"\x03"):
            return None
        if len(head) < 5:
            raise _ShortError
        size = int.from_bytes(head[3:], "big")
        if size == 0:
            return None
        joined += data[position + 5 : position + 5 + size]
        if joined[0:1] not in (b"", bytes([_CLIENT_HELLO])):
            return None
        if len(joined) >= 4:
            length = int.from_bytes(joined[1:4], "big")
            if length > MAX_HELLO:
                return None
            if len(joined) >= 4 + length:
                return joined[4 : 4 + length]
        position += 5 + size


def _name(hello: bytes) -> str | Verdict:
    fields = _Fields(hello)
    fields.take(2 + 32)  # version and random
    for width in (1, 2, 1):  # session id, cipher suites, compression methods
        fields.vector(width)
    if fields.at_end:
        return Verdict.NONE
    extensions = _Fields(fields.vector(2))
    while not extensions.at_end:
        kind = int.from_bytes(extensions.take(2), "big")
        body = extensions.vector(2)
        if kind != _SERVER_NAME:
            continue
        names = _Fields(_Fields(body).vector(2))
        while not names.at_end:
            kind = names.take(1)[0]
            raw = names.vector(2)
            if kind == _HOST_NAME:
                return _checked(raw)
    return Verdict.NONE


def _checked(raw: bytes) -> str | Verdict:
    """A host name of the characters that names have; anything else could end a header."""
    text = raw.decode("ascii", "replace").lower()
    fits = 0 < len(text) <= 253 and all(char.isalnum() or char in "-._" for char in text)
    return text.removesuffix(".") if fits and text.isascii() else Verdict.NONE


class _Fields:
    """A position in a structure of vectors, each behind its length."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    @property
    def at_end(self) -> bool:
        return self._position >= len(self._data)

    def take(self, count: int) -> bytes:
        end = self._position + count
        if end > len(self._data):
            raise _ShortError
        taken = self._data[self._position : end]
        self._position = end
        return taken

    def vector(self, width: int) -> bytes:
        return self.take(int.from_bytes(self.take(width), "big"))
