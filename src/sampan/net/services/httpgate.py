"""HTTP requests of a machine that are looked at, and perhaps changed, before they go out.

Theory of operation. All bytes of a connection go through a `Gate`, both ways. If it is HTTP/1,
each request's head is shown to `ask`, which says what becomes of it: passed on as it is or
changed, after a while, or answered here (`Reply`) while the server never sees it. Bodies and
responses pass as they are. Because replies of ours stand between those of the server, responses
are followed as well: a reply waits in `_turns` until those before it are over.

    out = gate.sent(data)         what the machine said
    out = gate.received(data)     what the server said
    out = gate.release()          `hold_s` seconds after a call left it at a number

Each returns what to send to either side. While `is_holding`, give it nothing the machine says
(what was taken is kept, up to `MAX_BACKLOG`); `hold_s` says for how long, None: until the server
has answered. When `is_closing`, the machine is to get no more: shut its side down, go on reading.

What is not HTTP passes, and so does what follows an upgrade or a tunnel: hooks watch, the policy
is what holds. A request that is malformed is `MalformedError`: end the connection.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from sampan.net.services.httpdetect import Language, detect
from sampan.net.services.httphead import NO_BODY, Fields, RequestHead, ResponseHead
from sampan.net.services.httpmessage import DONE, Head, Piece, Reader
from sampan.net.wire.checksum import Buffer
from sampan.net.wire.error import MalformedError

MAX_TURNS = 32
MAX_BACKLOG = 1 << 20
_BODYLESS = (204, 304)


class Output(NamedTuple):
    """What to send to either side, perhaps nothing."""

    to_host: bytes
    to_machine: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """A response of ours. Its length and the connection's fate are added to `fields`."""

    status: int
    reason: str = ""
    fields: Fields = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a request: `head` instead of its own, or a `reply`; `delay_s` before."""

    head: RequestHead | None = None
    reply: Reply | None = None
    delay_s: float = 0.0


@dataclass(slots=True)
class _Turn:
    """Whose response comes next: the server's, or `reply`."""

    method: str
    changes_protocol: bool
    reply: bytes = b""
    closes: bool = False


class Gate:
    """One connection. `ask` is called with each request's head."""

    def __init__(self, ask: Callable[[RequestHead], Decision]) -> None:
        self.language = Language.UNKNOWN
        self.hold_s: float | None = None
        self.is_closing = False
        self._ask = ask
        self._requests, self._responses = Reader(), Reader()
        self._start = b""
        self._backlog = b""
        self._delayed: tuple[RequestHead, Decision] | None = None
        self._turns: deque[_Turn] = deque()
        self._drops = False  # the body of a request that is answered here
        self._deaf = False  # nothing the machine says matters any more
        self._may_switch = self._awaits_switch = False
        self._response: ResponseHead | None = None
        self._opaque_requests = self._opaque_responses = False
        self._host: list[Buffer] = []
        self._machine: list[Buffer] = []

    @property
    def is_holding(self) -> bool:
        """Whether the machine has to wait."""
        full = len(self._turns) >= MAX_TURNS
        return not self._deaf and (self._delayed is not None or self._awaits_switch or full)

    def sent(self, data: Buffer) -> Output:
        """The machine said this.

        Raises:
            MalformedError: it cannot be understood, or far too much came while holding.
        """
        if self._opaque_requests:
            self._host.append(data)
        elif self._deaf:
            pass
        elif self.language is Language.UNKNOWN:
            self._begin(bytes(data))
        elif self.is_holding:
            self._backlog += bytes(data)
            if len(self._backlog) > MAX_BACKLOG:
                raise MalformedError("a machine that does not wait")
        else:
            self._read(data)
        return self._taken()

    def received(self, data: Buffer) -> Output:
        """The server said this.

        Raises:
            MalformedError: a request that waited for it cannot be understood.
        """
        if self.language is Language.UNKNOWN:
            self._pass_all(Language.OTHER, self._start)
        if self._opaque_responses:
            self._machine.append(data)
            return self._taken()
        try:
            self._read_responses(data)
        except MalformedError:  # the machine may make of it what it can
            self._lose_responses()
        self._resume()
        return self._taken()

    def sent_end(self) -> Output:
        """The machine will say no more. What it said may still be held."""
        if self.language is Language.UNKNOWN:
            self._pass_all(Language.OTHER, self._start)
        return self._taken()

    def release(self) -> Output:
        """The delay is over.

        Raises:
            MalformedError: what came behind the request cannot be understood.
        """
        if self._delayed is not None:
            head, decision = self._delayed
            self._delayed = self.hold_s = None
            self._go(head, decision)
            self._resume()
        return self._taken()

    def _begin(self, data: bytes) -> None:
        self._start += data
        language = detect(self._start)
        if language is Language.UNKNOWN:
            return
        start, self._start = self._start, b""
        if language is Language.HTTP1:
            self.language = language
            self._read(start)
        else:
            self._pass_all(language, start)

    def _pass_all(self, language: Language, first: bytes) -> None:
        """From here on everything passes."""
        self.language = language
        self._opaque_requests = self._opaque_responses = True
        self._start = self._backlog = b""
        self._host.append(first)

    def _resume(self) -> None:
        """Go on with what the machine said while it had to wait."""
        if self._backlog and not self.is_holding:
            backlog, self._backlog = self._backlog, b""
            self._read(backlog)

    def _read(self, data: Buffer) -> None:
        self._requests.feed(data)
        while (piece := self._requests.next()) is not None:
            self._request(piece)
            if self._deaf:
                return
            if self.is_holding:
                self._backlog = self._requests.rest()
                return

    def _request(self, piece: Piece) -> None:
        if isinstance(piece, Head):
            head = RequestHead.parse(piece.raw)
            self._requests.begin_body(head.framing())
            decision = self._ask(head)
            if decision.delay_s > 0:
                self._delayed, self.hold_s = (head, decision), decision.delay_s
            else:
                self._go(head, decision)
        elif piece is DONE:
            if self._may_switch and self._opaque_responses:
                self._pass_requests()
            self._awaits_switch = self._may_switch and not self._opaque_responses
            self._drops = self._may_switch = False
        elif not self._drops:
            self._host.append(piece.data)

    def _go(self, head: RequestHead, decision: Decision) -> None:
        """Send a request out, or answer it."""
        if decision.reply is not None:
            self._answer(head, decision.reply)
            return
        changed = decision.head or head
        if changed.framing() != head.framing() or changed.changes_protocol != head.changes_protocol:
            raise MalformedError("a request whose body would no longer fit its head")
        if not self._opaque_responses:
            self._turns.append(_Turn(changed.method, head.changes_protocol))
        self._may_switch = head.changes_protocol
        self._host.append(changed.emit())

    def _answer(self, head: RequestHead, reply: Reply) -> None:
        if self._opaque_responses:
            raise MalformedError("a reply for which there is no place among the server's")
        fields = list(reply.fields)
        closes = (
            head.framing() != NO_BODY  # it may or may not be sent, once it is answered
            or head.changes_protocol
            or head.version == "HTTP/1.0"
            or any("close" in value.lower() for value in head.values("connection"))
        )
        if reply.status not in _BODYLESS:
            fields.append(("Content-Length", str(len(reply.body))))
        if closes:
            fields.append(("Connection", "close"))
        raw = ResponseHead(reply.status, reply.reason, "HTTP/1.1", tuple(fields)).emit()
        if head.method != "HEAD" and reply.status not in _BODYLESS:
            raw += reply.body
        self._turns.append(_Turn(head.method, changes_protocol=False, reply=raw, closes=closes))
        self._drops, self._deaf = True, closes
        self._give_replies()

    def _give_replies(self) -> None:
        """Send the replies of ours whose turn it is."""
        while self._turns and self._turns[0].reply:
            turn = self._turns.popleft()
            self._machine.append(turn.reply)
            self.is_closing |= turn.closes

    def _read_responses(self, data: Buffer) -> None:
        self._responses.feed(data)
        while (piece := self._responses.next()) is not None:
            if isinstance(piece, Head):
                self._machine.append(piece.raw)
                if not self._turns:  # such as the word that an idle connection will be closed
                    raise MalformedError("a response that nobody asked for")
                head = ResponseHead.parse(piece.raw)
                self._responses.begin_body(head.framing(self._turns[0].method))
                self._response = head
            elif piece is not DONE:
                self._machine.append(piece.data)
            elif self._response is not None and not self._response.is_interim:
                self._answered(self._turns.popleft(), self._response.status)
                if self._opaque_responses:
                    self._machine.append(self._responses.rest())
                    return

    def _answered(self, turn: _Turn, status: int) -> None:
        """A response of the server's is over."""
        self._give_replies()
        if turn.changes_protocol:
            self._awaits_switch = self._may_switch = False
            if status == 101 or (turn.method == "CONNECT" and status < 300):
                self._opaque_responses = True
                self._pass_requests()

    def _lose_responses(self) -> None:
        """What the server says is no longer understood, and passes as it is."""
        self._opaque_responses = True
        self._machine.append(self._responses.rest())
        self._turns.clear()
        if self._awaits_switch:
            self._pass_requests()

    def _pass_requests(self) -> None:
        """What the machine says from here on is not HTTP, or cannot be known to be."""
        self._opaque_requests, self._awaits_switch = True, False
        self._host += [self._requests.rest(), self._backlog]
        self._backlog = b""

    def _taken(self) -> Output:
        output = Output(b"".join(self._host), b"".join(self._machine))
        self._host.clear()
        self._machine.clear()
        return output
