"""Requests of a machine rewritten for a proxy: the path becomes an absolute URI (RFC 9112, 3.2.2).

A connection carries one request after another, so bodies have to be told from heads
(`httpmessage`). A body is passed on as it comes. After a request that asks for another protocol
(Upgrade, CONNECT) the rest is opaque.

What the proxy could read differently than we do is refused: `MalformedError`; close the
connection. Memory is bounded by one head.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sampan.net.services import httpmessage
from sampan.net.services.httphead import RequestHead

_HOP = ("proxy-connection", "proxy-authorization")


@dataclass(frozen=True, slots=True)
class Head:
    """A request as it was: `host` is lower-case text with its port, if it has one."""

    method: str
    target: str
    host: str


class RequestRewriter:
    """The machine's side of one connection.

    Args:
        fallback_host: what the URI names for a request without Host header (HTTP/1.0).
        authorization: the value of Proxy-Authorization, or empty.
    """

    def __init__(self, fallback_host: str, authorization: str = "") -> None:
        self.heads: list[Head] = []  # those seen since the caller last emptied it
        self._fallback = fallback_host
        self._authorization = authorization
        self._reader = httpmessage.Reader()
        self._is_opaque = False

    def received(self, data: bytes) -> bytes:
        """What to send to the proxy for `data`.

        Raises:
            MalformedError: it is no sound HTTP/1 request.
        """
        if self._is_opaque:
            return data
        out: list[bytes | bytearray | memoryview] = []
        self._reader.feed(data)
        while (piece := self._reader.next()) is not None:
            if isinstance(piece, httpmessage.Head):
                out.append(self._head(RequestHead.parse(piece.raw)))
            elif isinstance(piece, httpmessage.Body):
                out.append(piece.data)
        return b"".join(out)

    def _head(self, head: RequestHead) -> bytes:
        host = head.host or self._fallback
        self._reader.begin_body(head.framing())
        self._is_opaque = head.changes_protocol
        self.heads.append(Head(head.method, head.target, host.lower()))
        target = head.target
        if target.startswith("/"):
            target = f"http://{host}{target}"
        elif target == "*":
            target = f"http://{host}"
        fields = [each for each in head.fields if each[0].lower() not in _HOP]
        if self._authorization:
            fields.append(("Proxy-Authorization", self._authorization))
        raw = replace(head, target=target, fields=tuple(fields)).emit()
        return raw + self._reader.rest() if self._is_opaque else raw
