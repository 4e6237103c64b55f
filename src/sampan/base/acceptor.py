"""A listening socket on a loop: takes connections and hands each on, as they come.

It may not know where they lead.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from sampan.base import log, unixsocket
from sampan.base.loop import Loop
from sampan.base.poller import READ
from sampan.base.unixsocket import Bound

BATCH = 64  # connections, before others have their turn
BACKLOG = 128
PAUSE_S = 0.1  # without descriptors, before it is tried again
SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_LINGER_RESET = struct.pack("ii", 1, 0)
_log = log.get(__name__)


class Acceptor:
    """Gives every connection to `take`, which owns it from then on; it does not block.

    Owns what it listens with; a Unix socket's file is removed at the end, if it is still this one.
    A `take` that raises costs its connection.
    """

    def __init__(
        self,
        loop: Loop,
        listening: socket.socket | Bound,
        take: Callable[[socket.socket], object],
    ) -> None:
        if isinstance(listening, socket.socket) and listening.family == socket.AF_UNIX:
            listening = Bound(listening, Path(listening.getsockname()))
        self._loop = loop
        self._listening = listening
        self._socket = listening.socket if isinstance(listening, Bound) else listening
        self._take = take
        self._is_short = False
        self.accepted = 0
        loop.watch(self._socket.fileno(), READ, self._ready)

    def _ready(self, _: int) -> None:
        for _ in range(BATCH):
            try:
                connection, _peer = self._socket.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in SHORT:
                    self._pause(error)
                return
            self._is_short = False
            self.accepted += 1
            self._hand_over(connection)
            if self._socket.fileno() < 0:
                return  # closed by what came of it

    def _hand_over(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        try:
            if connection.family != socket.AF_UNIX:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._take(connection)
        except Exception:  # noqa: BLE001  costs this connection
            _log.exception("a connection at %s is given up", self._place())
            connection.close()

    def _pause(self, error: OSError) -> None:
        if not self._is_short:
            self._is_short = True
            _log.warning("cannot take a connection at %s: %s", self._place(), error.strerror)
        self._loop.change(self._socket.fileno(), 0)
        self._loop.call_at(self._loop.now() + PAUSE_S, self._resume)

    def _resume(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.change(self._socket.fileno(), READ)

    def _place(self) -> str:
        if isinstance(self._listening, Bound):
            return str(self._listening.path)
        address, port, *_ = self._socket.getsockname()
        return f"{address} port {port}"

    def close(self) -> None:
        """Listen no more; connections that were taken go on. Once is enough."""
        if self._socket.fileno() >= 0:
            self._loop.unwatch(self._socket.fileno())
            self._listening.close()


def listen(loop: Loop, path: Path, take: Callable[[socket.socket], object]) -> Acceptor:
    """Listen at a Unix socket that is open to its owner only.

    Raises:
        SampanError: it cannot listen there; see `unixsocket.bind`.
    """
    bound = unixsocket.bind(path)
    bound.socket.listen(BACKLOG)
    return Acceptor(loop, bound, take)


def reset(connection: socket.socket) -> None:
    """Close a connection so that its peer sees that it broke (Unix sockets: that it ended)."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
    connection.close()
