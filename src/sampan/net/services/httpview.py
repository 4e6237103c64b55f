"""Follows HTTP in a flow it only watches, and tells of each request with its response.

Theory of operation. A flow's bytes are shown to a `Follower` as they pass, both ways. The
client's first bytes decide what is spoken: HTTP/1 is followed, HTTP/2 and others are only named,
of TLS the server's name is read. In HTTP/1 a request waits in `_pending` until its response is
over (responses come in the order of requests), then it is an `Exchange`. Bodies are counted and
not held. After CONNECT or Upgrade succeeded, the rest is not followed.

Nothing is raised, whatever the bytes: what cannot be followed any further is given up with a
reason, and the requests that were under way are told as cut. Memory of one flow is bounded by
`MAX_PENDING` requests, of whose headers at most `MAX_FIELDS_BYTES` are kept, and two heads.

It may not know what a flow is, only its bytes and when they passed.
"""

from __future__ import annotations

from collections import deque

import msgspec

from sampan.net.services import sni
from sampan.net.services.httpdetect import Language, detect
from sampan.net.services.httphead import Fields, RequestHead, ResponseHead
from sampan.net.services.httpmessage import DONE, Head, Piece, Reader
from sampan.net.wire.checksum import Buffer
from sampan.net.wire.error import MalformedError

MAX_HEAD = 32_768
MAX_PENDING = 32
MAX_FIELDS_BYTES = 8192
MAX_VALUE = 2048
MAX_URL = 8192
_EARLY = "the client went on before its tunnel was there"


class Exchange(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request and what came of it.

    Sizes are bytes on the wire; those of bodies are of their content, without the marks of
    chunks. Times are seconds: `started` by the flow's clock, the others durations; None where
    that part did not happen. `status` is 0, and `cut` says why, if there was no whole response.
    """

    number: int
    method: str
    url: str
    version: str
    request_fields: Fields
    request_head_bytes: int
    request_body_bytes: int
    status: int = 0
    reason: str = ""
    response_version: str = ""
    response_fields: Fields = ()
    response_head_bytes: int = 0
    response_body_bytes: int = 0
    content_type: str = ""
    started: float
    connect_s: float | None = None
    send_s: float | None = None
    wait_s: float | None = None
    receive_s: float | None = None
    cut: str = ""

    @property
    def duration_s(self) -> float:
        """From the first byte of the request (or the connection made for it) to the last."""
        parts = (self.connect_s, self.send_s, self.wait_s, self.receive_s)
        return sum(each for each in parts if each is not None)


class _Pending:
    """An exchange that is under way; of its heads, what will be told."""

    __slots__ = (
        "began", "method", "reason", "replied", "replying", "request_body", "request_fields",
        "request_size", "request_version", "response_body", "response_fields", "response_size",
        "response_version", "sent", "status", "url",
    )  # fmt: skip

    def __init__(self, head: RequestHead, size: int, url: str, began: float) -> None:
        self.method, self.url, self.request_version = head.method[:MAX_VALUE], url, head.version
        self.request_fields, self.request_size, self.request_body = _kept(head.fields), size, 0
        self.status, self.reason, self.response_version = 0, "", ""
        self.response_fields: Fields = ()
        self.response_size = self.response_body = 0
        self.began = began
        self.sent: float | None = None
        self.replying: float | None = None
        self.replied: float | None = None

    def answered(self, head: ResponseHead, size: int, began: float) -> None:
        """The head of the response came."""
        self.status, self.response_version = head.status, head.version
        self.reason = head.reason[:MAX_VALUE]
        self.response_fields, self.response_size = _kept(head.fields), size
        self.replying = began

    def exchange(self, number: int, connect_s: float | None, cut: str) -> Exchange:
        """All that is known."""
        kinds = [value for name, value in self.response_fields if name.lower() == "content-type"]
        known = [each for each in (self.sent, self.replying) if each is not None]
        asked = min(known) if known else None  # some answer before they were asked in full
        return Exchange(
            number=number,
            method=self.method,
            url=self.url,
            version=self.request_version,
            request_fields=self.request_fields,
            request_head_bytes=self.request_size,
            request_body_bytes=self.request_body,
            status=self.status,
            reason=self.reason,
            response_version=self.response_version,
            response_fields=self.response_fields,
            response_head_bytes=self.response_size,
            response_body_bytes=self.response_body,
            content_type=kinds[0] if kinds else "",
            started=self.began,
            connect_s=connect_s,
            send_s=_between(self.began, asked),
            wait_s=_between(asked, self.replying),
            receive_s=_between(self.replying, self.replied),
            cut=cut,
        )


class Follower:
    """One flow.

    Args:
        host: what URLs name when a request does not: the address, with a port other than 80.
        opened: when the machine wanted the connection.
    """

    def __init__(self, host: str, opened: float) -> None:
        self.language = Language.UNKNOWN
        self.server_name = ""  # of TLS
        self.gave_up = ""  # why it is no longer followed
        self.exchanges: list[Exchange] = []  # those seen since the caller last emptied it
        self._host = host
        self._opened = opened
        self._connect_s: float | None = None
        self._start: bytearray | None = bytearray()
        self._requests, self._responses = Reader(MAX_HEAD), Reader(MAX_HEAD)
        self._pending: deque[_Pending] = deque()
        self._asking: _Pending | None = None  # the request that is being sent
        self._count = 0
        self._request_began = self._response_began = self._heard = 0.0
        self._awaits_tunnel = self._is_interim = False

    @property
    def is_following(self) -> bool:
        """Whether there is a point in showing it more."""
        return not self.gave_up

    def connected(self, now: float) -> None:
        """The connection was made."""
        self._connect_s = max(0.0, now - self._opened)

    def sent(self, data: Buffer, now: float) -> None:
        """The client sent this."""
        if self.gave_up or not len(data):
            return
        if self._asking is not None and self._requests.skip(len(data)):
            self._asking.request_body += len(data)
            return
        if self._start is not None:
            if not self._start:
                self._request_began = now
            self._begin(self._start, data, now)
        elif self._awaits_tunnel:
            self._stop(_EARLY, now)
        else:
            if self._requests.is_between:
                self._request_began = now
            self._read(self._requests, data, now)

    def received(self, data: Buffer, now: float) -> None:
        """The server sent this."""
        if self.gave_up or not len(data):
            return
        if self._responses.skip(len(data)):
            self._pending[0].response_body += len(data)
            self._heard = now
            return
        if self.language is Language.TLS:
            return
        if self._start is not None:
            self.language = Language.OTHER
            self._stop("the server spoke first", now)
            return
        self._heard = now
        if self._responses.is_between:
            self._response_began = now
        self._read(self._responses, data, now)

    def sent_end(self, now: float) -> None:
        """The client will send no more."""
        if not self._requests.is_between:
            self._stop("the client ended in the middle of a request", now)

    def received_end(self, now: float) -> None:
        """The server will send no more."""
        if self.gave_up:
            return
        first = self._pending[0] if self._pending else None
        if self._responses.ended() and first is not None:
            first.replied = self._heard
            self._settle(now)
        if self._pending or not self._responses.is_between:
            self._stop("the server ended in the middle of a response", now)

    def ended(self, reason: str, now: float) -> None:
        """The flow is over."""
        self._stop(reason or "the connection ended", now)

    def _begin(self, start: bytearray, data: Buffer, now: float) -> None:
        """The first bytes: find out what is spoken."""
        start += data
        if self.language is Language.UNKNOWN:
            self.language = detect(bytes(start))
        match self.language:
            case Language.HTTP1:
                self._start = None
                self._read(self._requests, bytes(start), now)
            case Language.TLS:
                name = sni.server_name(bytes(start[: sni.MAX_HELLO]))
                if name is not sni.Verdict.MORE:
                    self.server_name = name if isinstance(name, str) else ""
                    self._stop("encrypted", now)
            case Language.HTTP2:
                self._stop("HTTP/2 is not followed", now)
            case Language.OTHER:
                self._stop("not HTTP", now)
            case Language.UNKNOWN:
                pass  # more of it will tell

    def _read(self, reader: Reader, data: Buffer, now: float) -> None:
        take = self._request if reader is self._requests else self._response
        try:
            reader.feed(data)
            while not self.gave_up and (piece := reader.next()) is not None:
                take(piece, now)
        except MalformedError as error:
            self._stop(str(error), now)

    def _request(self, piece: Piece, now: float) -> None:
        asking = self._asking
        if isinstance(piece, Head):
            head = RequestHead.parse(piece.raw)
            self._requests.begin_body(head.framing())
            if len(self._pending) >= MAX_PENDING:
                raise MalformedError(f"more than {MAX_PENDING} requests without an answer")
            url = _url(head, self._host)
            self._asking = _Pending(head, len(piece.raw), url, self._request_began)
            self._pending.append(self._asking)
        elif asking is None:
            raise MalformedError("a body without a request")
        elif piece is DONE:
            asking.sent = self._request_began = now
            self._asking = None
            self._awaits_tunnel = asking.method == "CONNECT"
            if self._awaits_tunnel and self._requests.rest():
                raise MalformedError(_EARLY)
            self._settle(now)
        else:
            asking.request_body += piece.size

    def _response(self, piece: Piece, now: float) -> None:
        first = self._pending[0] if self._pending else None
        if first is None or first.replied is not None:
            raise MalformedError("a response that nobody asked for")
        if isinstance(piece, Head):
            head = ResponseHead.parse(piece.raw)
            self._responses.begin_body(head.framing(first.method))
            self._is_interim = head.is_interim
            if not head.is_interim:
                first.answered(head, len(piece.raw), self._response_began)
        elif piece is DONE:
            self._response_began = now
            if not self._is_interim:
                first.replied = now
                self._settle(now)
        else:
            first.response_body += piece.size

    def _settle(self, now: float) -> None:
        """Tell of the exchanges that are over."""
        while self._pending and None not in (self._pending[0].sent, self._pending[0].replied):
            each = self._pending.popleft()
            self._tell(each, "")
            if each.method == "CONNECT":
                self._awaits_tunnel = False
                if each.status < 300:
                    self._stop("a tunnel follows", now)
            elif each.status == 101:
                self._stop("another protocol follows", now)

    def _stop(self, why: str, now: float) -> None:
        """Follow it no further."""
        if self.gave_up:
            return
        self.gave_up = why
        for each in self._pending:
            if each.replying is not None:
                each.replied = now
            self._tell(each, why)
        self._pending.clear()
        self._asking = self._start = None
        self._requests, self._responses = Reader(), Reader()

    def _tell(self, each: _Pending, cut: str) -> None:
        connect_s = self._connect_s if self._count == 0 else None
        self.exchanges.append(each.exchange(self._count, connect_s, cut))
        self._count += 1


def _url(request: RequestHead, fallback: str) -> str:
    """What was asked for, as a URL; of CONNECT the host and port."""
    target = request.target[:MAX_URL]
    if request.method == "CONNECT" or not target.startswith(("/", "*")):
        return target
    try:
        host = request.host.lower() or fallback
    except MalformedError:
        host = fallback
    return f"http://{host}{target.removeprefix('*')}"


def _kept(fields: Fields) -> Fields:
    """As much of the fields as is kept."""
    kept, total = [], 0
    for name, value in fields:
        short = value if len(value) <= MAX_VALUE else f"{value[:MAX_VALUE]}…"
        total += len(name) + len(short)
        if total > MAX_FIELDS_BYTES:
            break
        kept.append((name, short))
    return tuple(kept)


def _between(first: float | None, last: float | None) -> float | None:
    return None if first is None or last is None else max(0.0, last - first)
