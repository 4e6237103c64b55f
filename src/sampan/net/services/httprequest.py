"""Requests of a machine rewritten for a proxy: the path becomes an absolute URI (RFC 9112, 3.2.2).

A connection carries one request after another, so bodies have to be told from heads: by
Content-Length or chunks (RFC 9112, 6). A body is passed on as it comes. After a request that
asks for another protocol (Upgrade, CONNECT) the rest is opaque.

What the proxy could read differently than we do (two lengths, a length beside chunks, a folded
or malformed header) is refused: `MalformedError`; close the connection. Memory is bounded by
one head.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from sampan.net.wire.error import MalformedError

MAX_HEAD = 65_536
_END = b"\r\n\r\n"
_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+) (HTTP/1\.[01])")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*")
_HOST = re.compile(rb"[A-Za-z0-9._-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(;[^\r\n]*)?")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_HOP = (b"proxy-connection", b"proxy-authorization")


@dataclass(frozen=True, slots=True)
class Head:
    """A request as it was: `host` is lower-case text with its port, if it has one."""

    method: str
    target: str
    host: str


class _State(Enum):
    HEAD = "head"
    BODY = "body"  # `_left` more bytes
    CHUNK = "chunk"  # a line with a size
    TRAILER = "trailer"
    OPAQUE = "opaque"


class RequestRewriter:
    """The machine's side of one connection.

    Args:
        fallback_host: what the URI names for a request without Host header (HTTP/1.0).
        authorization: the value of Proxy-Authorization, or empty.
    """

    def __init__(self, fallback_host: str, authorization: str = "") -> None:
        self.heads: list[Head] = []  # those seen since the caller last emptied it
        self._fallback = fallback_host.encode()
        self._authorization = authorization.encode()
        self._state = _State.HEAD
        self._rest = b""
        self._left = 0
        self._chunked = False

    def received(self, data: bytes) -> bytes:
        """What to send to the proxy for `data`.

        Raises:
            MalformedError: it is no sound HTTP/1 request.
        """
        self._rest += data
        out: list[bytes] = []
        while self._rest:
            step = self._step()
            if step is None:
                break
            out.append(step)
        return b"".join(out)

    def _step(self) -> bytes | None:
        """The next piece to pass on; None to wait for more."""
        if self._state is _State.OPAQUE:
            return self._cut(len(self._rest))
        if self._state is _State.BODY:
            piece = self._cut(min(self._left, len(self._rest)))
            self._left -= len(piece)
            if self._left == 0:
                self._state = _State.CHUNK if self._chunked else _State.HEAD
            return piece
        if self._state is _State.HEAD:
            return self._head()
        line = self._line()
        if line is None:
            return None
        if self._state is _State.TRAILER:
            self._state = _State.HEAD if line == b"\r\n" else _State.TRAILER
            return line
        found = _CHUNK.fullmatch(line[:-2])
        if found is None:
            raise MalformedError("a chunk without a size")
        size = int(found[1], 16)
        self._left = size + 2  # the line's end behind it
        self._state = _State.BODY if size else _State.TRAILER
        return line

    def _line(self) -> bytes | None:
        end = self._rest.find(b"\r\n")
        if end < 0 or end > MAX_HEAD:
            if len(self._rest) > MAX_HEAD:
                raise MalformedError("a line of a chunked body that does not end")
            return None
        return self._cut(end + 2)

    def _head(self) -> bytes | None:
        end = self._rest.find(_END)
        if end < 0 or end > MAX_HEAD:
            if len(self._rest) > MAX_HEAD:
                raise MalformedError("the head of a request that does not end")
            return None
        line, *rows = self._cut(end + len(_END))[: -len(_END)].split(b"\r\n")
        request = _LINE.fullmatch(line)
        if request is None:
            raise MalformedError(f"no HTTP/1 request: {line[:80]!r}")
        headers = [_header(row) for row in rows]
        method, target, version = request.groups()
        host = _host(headers) or self._fallback
        self._begin_body(method, headers)
        self.heads.append(Head(method.decode(), target.decode("latin-1"), host.decode().lower()))
        if target.startswith(b"/"):
            target = b"http://" + host + target
        elif target == b"*":
            target = b"http://" + host
        lines = [b"%s %s %s" % (method, target, version)]
        lines += [row for row, (name, _) in zip(rows, headers, strict=True) if name not in _HOP]
        if self._authorization:
            lines.append(b"Proxy-Authorization: " + self._authorization)
        return b"\r\n".join(lines) + _END

    def _begin_body(self, method: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        lengths = [value for name, value in headers if name == b"content-length"]
        codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
        if len(lengths) + len(codings) > 1 or codings not in ([], [b"chunked"]):
            raise MalformedError("a request whose length is not clear")
        if lengths and _LENGTH.fullmatch(lengths[0]) is None:
            raise MalformedError("a Content-Length that is no number")
        self._chunked = bool(codings)
        self._left = int(lengths[0]) if lengths else 0
        if method == b"CONNECT" or any(name == b"upgrade" for name, _ in headers):
            self._state = _State.OPAQUE
        elif self._chunked:
            self._state = _State.CHUNK
        elif self._left:
            self._state = _State.BODY

    def _cut(self, count: int) -> bytes:
        piece, self._rest = self._rest[:count], self._rest[count:]
        return piece


def _header(row: bytes) -> tuple[bytes, bytes]:
    found = _HEADER.fullmatch(row)
    if found is None:
        raise MalformedError(f"a malformed header: {row[:80]!r}")
    return found[1].lower(), found[2]


def _host(headers: list[tuple[bytes, bytes]]) -> bytes:
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (hosts and hosts[0] and _HOST.fullmatch(hosts[0]) is None):
        raise MalformedError("a Host header that names no host")
    return hosts[0] if hosts else b""
