"""The control API's Unix socket, in the loop of its network.

Only the owner of this process, and root, are served: the socket is theirs by its mode, its
folder is made for them alone, and each connection's peer is asked for. There are at most
`MAX_CONNECTIONS`; those that outlive their patience are ended by a sweep.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

from sampan.base import log
from sampan.base.loop import Loop, Timer
from sampan.base.poller import READ
from sampan.errors import ExitCode
from sampan.net.runtime.control import exchange, fault, listener, model
from sampan.net.runtime.control.connection import Connection
from sampan.net.runtime.control.exchange import Exchange
from sampan.net.runtime.control.message import Answer, Request, Response

_log = log.get(__name__)
MAX_CONNECTIONS = 64
SWEEP_S = 1.0
PAUSE_S = 0.5  # without descriptors, before it is tried again
_SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


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
        self._bound = listener.listen(path)
        loop.watch(self._bound.socket.fileno(), READ, self._accept)

    def _accept(self, _: int) -> None:
        while True:
            try:
                connection, _peer = self._bound.socket.accept()
            except OSError as error:  # nobody waits any more, or there is no descriptor to be had
                if error.errno in _SHORT:
                    self._pause(error)
                return
            connection.setblocking(False)
            refusal = self._refusal(connection)
            if refusal is not None:
                with suppress(OSError):
                    connection.send(Exchange().respond(refusal))
                connection.close()
            else:
                gone = self._connections.discard
                self._connections.add(Connection(self._loop, connection, self._answer, gone))
                self._sweep_later()

    def _pause(self, error: OSError) -> None:
        _log.warning("cannot take a client of the control API: %s", error.strerror)
        self._loop.change(self._bound.socket.fileno(), 0)
        self._loop.call_at(self._loop.now() + PAUSE_S, self._resume)

    def _resume(self) -> None:
        if self._bound.socket.fileno() >= 0:
            self._loop.change(self._bound.socket.fileno(), READ)

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
        if self._bound.socket.fileno() < 0:
            return
        self._loop.unwatch(self._bound.socket.fileno())
        self._bound.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
        for each in list(self._connections):
            each.close()
