"""The control API's Unix socket, in the loop of its network.

Only the owner of this process, and root, are served: the socket is theirs by its mode, its
folder is made for them alone, and each connection's peer is asked for. There are at most
`MAX_CONNECTIONS`; those that outlive their patience are ended by a sweep.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

from sampan.base import log
from sampan.base.acceptor import Acceptor
from sampan.base.loop import Loop, Timer
from sampan.errors import ExitCode
from sampan.net.runtime.control import exchange, fault, listener, model
from sampan.net.runtime.control.connection import Connection
from sampan.net.runtime.control.exchange import Exchange
from sampan.net.runtime.control.message import Answer, Request, Response

_log = log.get(__name__)
MAX_CONNECTIONS = 64
SWEEP_S = 1.0


class Server:
    """Answers at a path. Makes the socket, and removes it in `close`.

    Raises:
        SampanError: the socket cannot be made, a network answers there already, or h11 is
            not installed.
    """

    def __init__(self, loop: Loop, path: Path, answer: Callable[[Request], Answer]) -> None:
        exchange.check()
        self.path = path
        self._loop = loop
        self._answer = answer
        self._connections: set[Connection] = set()
        self._sweeper: Timer | None = None
        self._acceptor = Acceptor(loop, listener.listen(path), self._take)

    def _take(self, connection: socket.socket) -> None:
        refusal = self._refusal(connection)
        if refusal is not None:
            with suppress(OSError):
                connection.send(Exchange().respond(refusal))
            connection.close()
            return
        gone = self._connections.discard
        self._connections.add(Connection(self._loop, connection, self._answer, gone))
        self._sweep_later()

    def _refusal(self, connection: socket.socket) -> Response | None:
        """What to tell a client that is not served."""
        uid = listener.peer(connection)
        if uid not in (0, os.geteuid()):
            _log.warning("a process of user %s may not use %s", uid, self.path)
            said = model.Fault(code=ExitCode.FAILED, message="this network is another user's")
            return fault.of(HTTPStatus.FORBIDDEN, said)
        if len(self._connections) >= MAX_CONNECTIONS:
            said = model.Fault(
                code=ExitCode.FAILED, message=f"{MAX_CONNECTIONS} clients are connected already"
            )
            return fault.of(HTTPStatus.SERVICE_UNAVAILABLE, said)
        return None

    def _sweep_later(self) -> None:
        if self._sweeper is None:
            self._sweeper = self._loop.call_at(self._loop.now() + SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        now = self._loop.now()
        for each in [each for each in self._connections if each.deadline <= now]:
            each.close()
        if self._connections:
            self._sweep_later()

    def close(self) -> None:
        """Stop listening and cut the clients off. Nothing happens the second time."""
        self._acceptor.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
        for each in list(self._connections):
            each.close()
