"""One client of the control API: its socket, what it still has to be sent, and its patience.

    receiving → answering → receiving …      answers that are complete
              → streaming → receiving        events, captures: until their end, if there is one
              → closing                      after a request that made no sense
              → gone                         taken over: the socket is somebody else's

Nothing is read while an answer waits to be sent, so a client has at most one request here. It
has `REQUEST_S` for a request, `IDLE_S` between two, and `WRITE_S` to take something of an answer.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Callable
from contextlib import suppress

from sampan.base.loop import Loop
from sampan.base.poller import READ, WRITE
from sampan.net.runtime.control.exchange import Exchange, Refused
from sampan.net.runtime.control.message import (
    Answer,
    Request,
    Response,
    Source,
    Stream,
    Takeover,
)

REQUEST_S = 10.0
IDLE_S = 120.0
WRITE_S = 60.0
LINGER_S = 2.0
_RECEIVE = 64 << 10
_ENOUGH = 256 << 10  # unsent; no more is pulled


class Connection:
    """Owns its socket. `gone` is called once, when it is closed."""

    def __init__(
        self,
        loop: Loop,
        connection: socket.socket,
        answer: Callable[[Request], Answer],
        gone: Callable[[Connection], None],
    ) -> None:
        self.deadline = math.inf
        self._loop = loop
        self._socket = connection
        self._fd = connection.fileno()
        self._answer = answer
        self._gone = gone
        self._exchange = Exchange()
        self._unsent = bytearray()
        self._source: Source | None = None
        self._woken = self._closing = False
        self._events = READ
        loop.watch(self._fd, READ, self._ready)
        self._patience(REQUEST_S)

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._pump()
            self._serve()
        if self._fd >= 0 and events & ~WRITE:
            self._read()

    def _read(self) -> None:
        try:
            data = self._socket.recv(_RECEIVE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
        elif not (self._closing or self._source or self._unsent):  # else nothing counts
            if self._exchange.is_idle:
                self._patience(REQUEST_S)
            self._exchange.receive(data)
            self._serve()

    def _serve(self) -> None:
        """Answer the requests that are complete, as long as their answers can be sent."""
        while self._fd >= 0 and not (self._closing or self._source or self._unsent):
            request = self._exchange.next_request()
            if request is None:
                if self._exchange.is_idle:
                    self._patience(IDLE_S)
                if go_ahead := self._exchange.go_ahead():
                    self._unsent += go_ahead
                    self._pump()
                return
            if isinstance(request, Refused):
                self._closing = True
                self._say(request.response)
            else:
                answer = self._answer(request)
                if isinstance(answer, Takeover):
                    self._hand_over(answer)
                    return
                self._say(answer)
            self._pump()

    def _hand_over(self, takeover: Takeover) -> None:
        """HTTP is over here; what the handler does with the socket is not our business."""
        self._loop.unwatch(self._fd)
        self._fd = -1
        self._gone(self)
        try:
            takeover.take(self._socket, self._exchange.rest)
        except BaseException:  # the loop tells of it
            self._socket.close()
            raise

    def _say(self, answer: Response | Stream) -> None:
        self._patience(WRITE_S)
        if isinstance(answer, Stream):
            self._unsent += self._exchange.begin(answer.content_type)
            self._source = answer.begin(self._wake)
        else:
            self._unsent += self._exchange.respond(answer)
            self._closing = self._closing or self._exchange.must_close

    def _wake(self) -> None:
        """A stream has something; looked at once, however often it says so."""
        if not self._woken:
            self._woken = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        """Send what there is, and more of a stream."""
        self._woken = False
        if self._fd < 0:
            return
        try:
            while self._fill():
                sent = self._socket.send(self._unsent)
                del self._unsent[:sent]
                self._patience(WRITE_S)
        except BlockingIOError:
            self._watch(WRITE)
            return
        except OSError:
            self.close()
            return
        self._watch(READ)
        if self._source is not None:
            self._patience(math.inf)
        elif self._closing:
            self._hang_up()

    def _fill(self) -> bool:
        """Whether there is something to send, after asking the stream."""
        source = self._source
        if source is not None and len(self._unsent) < _ENOUGH:
            if data := source.pull():
                self._unsent += self._exchange.chunk(data)
            elif source.ended:
                self._source = None
                source.close()
                self._unsent += self._exchange.finish()
                self._closing = self._exchange.must_close
        return bool(self._unsent)

    def _hang_up(self) -> None:
        """All is said. The client closes; if we did, what it still sends would undo the answer."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        self._patience(LINGER_S)

    def _watch(self, events: int) -> None:
        if events != self._events:
            self._events = events
            self._loop.change(self._fd, events)

    def _patience(self, seconds: float) -> None:
        self.deadline = self._loop.now() + seconds

    def close(self) -> None:
        """End it, at once. Nothing happens the second time."""
        if self._fd < 0:
            return
        source, self._source = self._source, None
        if source is not None:
            source.close()
        self._loop.unwatch(self._fd)
        self._socket.close()
        self._fd = -1
        self._gone(self)
