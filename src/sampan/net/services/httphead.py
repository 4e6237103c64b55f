"""Heads of HTTP/1 messages as values, and how the body behind a head is delimited (RFC 9112).

Whatever two readers could understand differently (two lengths, a length beside chunks, a folded
or malformed header, two hosts) is `MalformedError`. A head that was read can be emitted; one
that was changed is checked again, so that no value can smuggle in a line of its own.

It knows neither connections nor which side is the machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from sampan.net.wire.error import MalformedError

END = b"\r\n\r\n"
REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~\x80-\xff]+) (HTTP/1\.[01])")
STATUS_LINE = re.compile(rb"(HTTP/1\.[01]) ([1-9][0-9]{2})(?: ([^\r\n\0]*))?")
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(;[^\r\n]*)?")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*")
_HOST = re.compile(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")
_LENGTH = re.compile(r"[0-9]{1,18}")
_NOTHING = (204, 304)  # responses that never have a body

HIDDEN = "(hidden)"
_SECRET = ("authorization", "proxy-authorization", "cookie", "set-cookie")

Fields = tuple[tuple[str, str], ...]


class Delimiter(Enum):
    """What ends a body."""

    LENGTH = "length"
    CHUNKS = "chunks"
    END = "the end of the connection"


@dataclass(frozen=True, slots=True)
class Framing:
    """How long a body is; `length` counts only for `Delimiter.LENGTH`."""

    delimiter: Delimiter = Delimiter.LENGTH
    length: int = 0


NO_BODY = Framing()


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request's line and fields; names as they came, values without space around them."""

    method: str
    target: str
    version: str
    fields: Fields = ()

    @classmethod
    def parse(cls, raw: bytes) -> RequestHead:
        """The head in `raw`, with or without the empty line that ends it.

        Raises:
            MalformedError: it is no sound request.
        """
        line, fields = _split(raw)
        found = REQUEST_LINE.fullmatch(line)
        if found is None:
            raise MalformedError(f"no HTTP/1 request: {line[:80]!r}")
        method, target, version = (each.decode("latin-1") for each in found.groups())
        return cls(method, target, version, fields)

    def values(self, name: str) -> list[str]:
        """The values of all fields of this name; `name` is lower-case."""
        return _values(self.fields, name)

    @property
    def host(self) -> str:
        """The Host field's value, with its port if it has one; perhaps empty.

        Raises:
            MalformedError: there are two, or it names no host.
        """
        hosts = self.values("host")
        if len(hosts) > 1 or (hosts and hosts[0] and _HOST.fullmatch(hosts[0]) is None):
            raise MalformedError("a Host header that names no host")
        return hosts[0] if hosts else ""

    @property
    def changes_protocol(self) -> bool:
        """Whether something else than HTTP may follow."""
        return self.method == "CONNECT" or bool(self.values("upgrade"))

    def framing(self) -> Framing:
        """What body follows.

        Raises:
            MalformedError: it is not clear.
        """
        codings = self.values("transfer-encoding")
        if codings and (len(codings) > 1 or codings[0].lower() != "chunked"):
            raise MalformedError("a request whose length is not clear")
        return _framing(self.fields, self.version) or NO_BODY

    def emit(self) -> bytes:
        """The head as bytes.

        Raises:
            MalformedError: what was put into it cannot stand in a head.
        """
        raw = _emit(f"{self.method} {self.target} {self.version}", self.fields)
        if RequestHead.parse(raw) != self:
            raise MalformedError("a request that would be read otherwise than it was meant")
        return raw


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """A response's status line and fields."""

    status: int
    reason: str
    version: str
    fields: Fields = ()

    @classmethod
    def parse(cls, raw: bytes) -> ResponseHead:
        """The head in `raw`, with or without the empty line that ends it.

        Raises:
            MalformedError: it is no sound response.
        """
        line, fields = _split(raw)
        found = STATUS_LINE.fullmatch(line)
        if found is None:
            raise MalformedError(f"no HTTP/1 response: {line[:80]!r}")
        reason = (found[3] or b"").decode("latin-1")
        return cls(int(found[2]), reason, found[1].decode(), fields)

    def values(self, name: str) -> list[str]:
        """The values of all fields of this name; `name` is lower-case."""
        return _values(self.fields, name)

    @property
    def is_interim(self) -> bool:
        """Whether another response to the same request follows (100 Continue and its like)."""
        return self.status < 200 and self.status != 101

    def framing(self, method: str) -> Framing:
        """What body follows, in answer to a request of this method.

        Raises:
            MalformedError: it is not clear.
        """
        if method == "HEAD" or self.status < 200 or self.status in _NOTHING:
            return NO_BODY
        if method == "CONNECT" and self.status < 300:
            return NO_BODY
        return _framing(self.fields, self.version) or Framing(Delimiter.END)

    def emit(self) -> bytes:
        """The head as bytes.

        Raises:
            MalformedError: what was put into it cannot stand in a head.
        """
        raw = _emit(f"{self.version} {self.status} {self.reason}", self.fields)
        if ResponseHead.parse(raw) != self:
            raise MalformedError("a response that would be read otherwise than it was meant")
        return raw


def hide_secrets(fields: Fields) -> Fields:
    """The fields without what lets somebody in: credentials and cookies."""
    return tuple((name, HIDDEN if name.lower() in _SECRET else value) for name, value in fields)


def _split(raw: bytes) -> tuple[bytes, Fields]:
    line, *rows = raw.removesuffix(END).split(b"\r\n")
    return line, tuple(map(_field, rows))


def _field(row: bytes) -> tuple[str, str]:
    found = _FIELD.fullmatch(row)
    if found is None:
        raise MalformedError(f"a malformed header: {row[:80]!r}")
    return found[1].decode(), found[2].decode("latin-1")


def _values(fields: Iterable[tuple[str, str]], name: str) -> list[str]:
    return [value for each, value in fields if each.lower() == name]


def _framing(fields: Fields, version: str) -> Framing | None:
    """What the fields say; None if they say nothing."""
    lengths = _values(fields, "content-length")
    codings = _values(fields, "transfer-encoding")
    if len(set(lengths)) > 1 or (codings and (lengths or version == "HTTP/1.0")):
        raise MalformedError("a message whose length is not clear")
    if codings:
        last = codings[-1].lower().rpartition(",")[2].strip()
        return Framing(Delimiter.CHUNKS if last == "chunked" else Delimiter.END)
    if not lengths:
        return None
    if _LENGTH.fullmatch(lengths[0]) is None:
        raise MalformedError("a Content-Length that is no number")
    return Framing(Delimiter.LENGTH, int(lengths[0]))


def _emit(line: str, fields: Fields) -> bytes:
    try:
        rows = [line, *(f"{name}: {value}" for name, value in fields)]
        return "\r\n".join(rows).encode("latin-1") + END
    except UnicodeEncodeError as error:
        raise MalformedError("a character that cannot stand in a head") from error
