"""The server's side of one HTTP/1.1 connection: bytes in, requests out; answers in, bytes out.

h11 does the protocol. Bounds are kept here: heads of `MAX_HEAD` bytes, bodies of `MAX_BODY`.
One request at a time: the next is not looked at before the answer to this one was given.

It may not know about sockets or time.
"""

from __future__ import annotations

import importlib.util
import urllib.parse
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from sampan.errors import ExitCode, SampanError
from sampan.net.runtime.control import fault, model
from sampan.net.runtime.control.message import Request, Response

if TYPE_CHECKING:
    import h11

MAX_HEAD = 16 << 10
MAX_BODY = 1 << 20
_MAX_FIELDS = 64  # of a query


class Refused(msgspec.Struct, frozen=True):
    """What came cannot be taken: send this answer, then close."""

    response: Response


def check() -> None:
    """Say whether there can be exchanges, without loading what they take.

    Raises:
        SampanError: h11 is not installed.
    """
    if importlib.util.find_spec("h11") is None:
        raise SampanError("this installation has no control API", hint="pip install 'sampan[net]'")


class Exchange:
    """One connection. `check` beforehand whether h11 is there."""

    def __init__(self) -> None:
        import h11

        self._h11 = h11
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._head: h11.Request | None = None
        self._body = bytearray()
        self._continue = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing of a next request has come yet."""
        return self._head is None and not self._connection.trailing_data[0]

    @property
    def must_close(self) -> bool:
        """Whether the connection ends with the answer that was given."""
        h11 = self._h11
        return self._connection.our_state in (h11.MUST_CLOSE, h11.CLOSED, h11.ERROR)

    @property
    def rest(self) -> bytes:
        """What came behind the request."""
        data: bytes = self._connection.trailing_data[0]
        return data

    def receive(self, data: bytes) -> None:
        """Take bytes that came; empty bytes for the end. Call `next_request` after it."""
        self._connection.receive_data(data)

    def next_request(self) -> Request | Refused | None:
        """A request that is complete; None if more must come, or an answer is being given."""
        h11 = self._h11
        try:
            while True:
                event = self._connection.next_event()
                if isinstance(event, h11.Request):
                    self._head = event
                    self._continue = self._connection.they_are_waiting_for_100_continue
                elif isinstance(event, h11.Data):
                    self._body += event.data
                    if len(self._body) > MAX_BODY:
                        return self._refused(
                            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                            f"a body has at most {MAX_BODY} bytes",
                        )
                elif isinstance(event, h11.EndOfMessage):
                    return self._request()
                else:  # NEED_DATA, PAUSED, ConnectionClosed
                    return None
        except h11.RemoteProtocolError as error:
            return self._refused(error.error_status_hint, str(error))

    def go_ahead(self) -> bytes:
        """What a client that waits to be asked for its body has to hear; mostly nothing."""
        if not self._continue:
            return b""
        self._continue = False
        return self._send(self._h11.InformationalResponse(status_code=100, headers=[]))

    def respond(self, response: Response) -> bytes:
        """The bytes of an answer. The next request may be looked at then."""
        headers = [("content-type", response.content_type)] if response.body else []
        if response.status != HTTPStatus.NO_CONTENT:
            headers.append(("content-length", str(len(response.body))))
        if self._connection.their_state is self._h11.IDLE:  # nothing was asked yet
            headers.append(("connection", "close"))
        if response.allow:
            headers.append(("allow", ", ".join(response.allow)))
        h11 = self._h11
        data = self._send(h11.Response(status_code=response.status, headers=headers))
        if response.body and not (self._head is not None and self._head.method == b"HEAD"):
            data += self._send(h11.Data(data=response.body))
        return data + self.finish()

    def begin(self, content_type: str) -> bytes:
        """The beginning of an answer that comes in chunks."""
        headers = [("content-type", content_type), ("cache-control", "no-store")]
        return self._send(self._h11.Response(status_code=HTTPStatus.OK, headers=headers))

    def chunk(self, data: bytes) -> bytes:
        """A piece of such an answer."""
        return self._send(self._h11.Data(data=data))

    def finish(self) -> bytes:
        """The end of an answer."""
        h11 = self._h11
        data = self._send(h11.EndOfMessage())
        self._head = None
        self._body.clear()
        connection = self._connection
        if connection.our_state is h11.DONE and connection.their_state is h11.DONE:
            connection.start_next_cycle()
        return data

    def _request(self) -> Request | Refused:
        assert self._head is not None
        target = self._head.target.decode("ascii")
        if not target.startswith("/"):
            return self._refused(HTTPStatus.BAD_REQUEST, f"{target[:200]!r} is no path")
        path, _, query = target.partition("?")
        try:
            fields = urllib.parse.parse_qsl(
                query, keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict"
            )
            decoded = urllib.parse.unquote(path, errors="strict")
        except ValueError as error:
            return self._refused(HTTPStatus.BAD_REQUEST, f"the request's target: {error}")
        return Request(
            method=self._head.method.decode("ascii"),
            path=decoded,
            query=dict(fields),
            body=bytes(self._body),
        )

    def _refused(self, status: int, why: str) -> Refused:
        said = model.Fault(code=ExitCode.USAGE, message=why)
        return Refused(fault.of(status, said))

    def _send(self, event: h11.Event) -> bytes:
        return self._connection.send(event) or b""
