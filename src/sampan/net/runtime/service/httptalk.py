"""HTTP/1 to machines, in this process: one connection of one machine.

Requests are answered one after the other, as they come. Bounds: a head of `MAX_HEAD` bytes, a
body of `MAX_BODY`; `IDLE_S` without a request ends the connection, and so does what is no sound
request, with an answer that says so. A handler that raises costs its request.

It may not know what is served.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable
from http import HTTPStatus
from typing import TypeAlias

import msgspec

from sampan.base import log
from sampan.base.loop import Loop
from sampan.net.runtime.channel import Conversation
from sampan.net.services import httpmessage
from sampan.net.services.httphead import RequestHead, ResponseHead
from sampan.net.wire.address import format_ip
from sampan.net.wire.error import MalformedError

MAX_HEAD = 16 << 10
MAX_BODY = 64 << 10
IDLE_S = 30.0
TEXT = "text/plain; charset=utf-8"
_log = log.get(__name__)


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a machine asks. `machine` is its address; `path` is decoded, `query` is not."""

    machine: bytes
    method: str
    path: str
    query: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def value(self, name: str) -> str | None:
        """The first field of this name (lower-case)."""
        return next((value for each, value in self.fields if each.lower() == name), None)


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """An answer."""

    status: int = 200
    body: bytes = b""
    content_type: str = TEXT
    fields: tuple[tuple[str, str], ...] = ()


Handler: TypeAlias = Callable[[Request], Response]


class HttpTalk:
    """See `channel.Talk`."""

    def __init__(self, loop: Loop, conversation: Conversation, handle: Handler) -> None:
        self._loop = loop
        self._conversation = conversation
        self._handle = handle
        self._reader = httpmessage.Reader(MAX_HEAD)
        self._head: RequestHead | None = None
        self._body = bytearray()
        self._is_over = False
        self._until = loop.now() + IDLE_S
        self._timer = loop.call_at(self._until, self._look)

    def received(self, data: bytes) -> None:
        """See `channel.Talk`."""
        self._until = self._loop.now() + IDLE_S
        try:
            self._reader.feed(data)
            while self._listens() and (piece := self._reader.next()) is not None:
                self._take(piece)
        except MalformedError as error:
            self._fail(HTTPStatus.BAD_REQUEST, str(error))

    def _listens(self) -> bool:
        return not self._is_over

    def _take(self, piece: httpmessage.Piece) -> None:
        if isinstance(piece, httpmessage.Head):
            head = self._head = RequestHead.parse(piece.raw)
            self._reader.begin_body(head.framing())
            if "100-continue" in (each.lower() for each in head.values("expect")):
                self._conversation.write(ResponseHead(100, "Continue", "HTTP/1.1").emit())
        elif isinstance(piece, httpmessage.Body):
            if piece.size:
                self._body += piece.data
            if len(self._body) > MAX_BODY:
                self._fail(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {MAX_BODY} bytes")
        else:
            self._answer()

    def _answer(self) -> None:
        """A request is complete."""
        head = self._head
        assert head is not None
        stays = head.version == "HTTP/1.1" and "close" not in (
            each.lower() for each in head.values("connection")
        )
        try:
            request = self._request(head)
        except MalformedError as error:
            self._fail(HTTPStatus.BAD_REQUEST, str(error))
            return
        try:
            raw = _emit(self._handle(request), with_body=head.method != "HEAD", close=not stays)
        except Exception:  # noqa: BLE001  whatever a user's function raises, or answers
            _log.exception("%s %s of a machine failed", head.method, head.target)
            response = Response(status=500, body=b"this request failed\n")
            raw = _emit(response, with_body=head.method != "HEAD", close=not stays)
        self._body.clear()
        self._send(raw, close=not stays)

    def _request(self, head: RequestHead) -> Request:
        path, _, query = head.target.partition("?")
        decoded = urllib.parse.unquote_to_bytes(path).decode("utf-8", "replace")
        if not decoded.startswith("/"):
            raise MalformedError(f"{head.target[:80]!r} is no path")
        return Request(
            machine=self._conversation.flow.guest.address,
            method=head.method,
            path=decoded,
            query=query,
            fields=head.fields,
            body=bytes(self._body),
        )

    def _fail(self, status: HTTPStatus, why: str) -> None:
        guest = format_ip(self._conversation.flow.guest.address)
        _log.debug("a request of %s is refused: %s", guest, why)
        self._send(_emit(Response(status=status, body=f"{why}\n".encode())), close=True)

    def _send(self, raw: bytes, *, close: bool) -> None:
        self._conversation.write(raw)
        if close:
            self._is_over = True
            self._conversation.close()

    def finished(self) -> None:
        """See `channel.Talk`."""
        self._conversation.close()

    def _look(self) -> None:
        if self._until > self._loop.now():
            self._timer = self._loop.call_at(self._until, self._look)
        else:
            self._conversation.close()

    def gone(self) -> None:
        """See `channel.Talk`."""
        self._timer.cancel()


def _emit(response: Response, *, with_body: bool = True, close: bool = True) -> bytes:
    """An answer's bytes.

    Raises:
        MalformedError: something in it cannot stand in a head.
    """
    fields = [
        *response.fields,
        ("Content-Type", response.content_type),
        ("Content-Length", str(len(response.body))),
    ]
    if close:
        fields.append(("Connection", "close"))
    known = response.status in set(HTTPStatus)
    reason = HTTPStatus(response.status).phrase if known else ""
    head = ResponseHead(response.status, reason, "HTTP/1.1", tuple(fields))
    return head.emit() + (response.body if with_body else b"")
