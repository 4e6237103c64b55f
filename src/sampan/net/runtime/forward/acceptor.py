"""A listening socket of the host: takes connections and hands each on, as they come.

It may not know where they lead.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from sampan.base import log
from sampan.base.loop import Loop
from sampan.base.poller import READ
from sampan.base.unixsocket import Bound

_log = log.get(__name__)

ACCEPTS = 64  # before others have their turn
PAUSE_S = 0.1  # without descriptors, before it is tried again
_SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_LINGER_RESET = struct.pack("ii", 1, 0)


class Acceptor:
    """Gives every connection to `take`, which owns it from then on; it does not block.

    Owns the listening socket; a Unix socket's file is removed at the end, if it is still this one.
    """

    def __init__(
        self, loop: Loop, listening: socket.socket, take: Callable[[socket.socket], None]
    ) -> None:
        self._loop = loop
        self._socket = listening
        self._take = take
        is_unix = listening.family == socket.AF_UNIX
        self._bound = Bound(listening, Path(listening.getsockname())) if is_unix else listening
        self.accepted = 0
        loop.watch(listening.fileno(), READ, self._ready)

    def _ready(self, _: int) -> None:
        for _ in range(ACCEPTS):
            try:
                connection, _peer = self._socket.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in _SHORT:
                    self._pause(error)
                return
            self.accepted += 1
            connection.setblocking(False)
            if connection.family != socket.AF_UNIX:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._take(connection)
            if self._socket.fileno() < 0:
                return  # closed by what came of it

    def _pause(self, error: OSError) -> None:
        _log.warning("cannot take a connection: %s", error.strerror)
        self._loop.change(self._socket.fileno(), 0)
        self._loop.call_at(self._loop.now() + PAUSE_S, self._resume)

    def _resume(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.change(self._socket.fileno(), READ)

    def close(self) -> None:
        """Listen no more; connections that were taken go on."""
        if self._socket.fileno() < 0:
            return
        self._loop.unwatch(self._socket.fileno())
        self._bound.close()


def reset(connection: socket.socket) -> None:
    """Close a connection so that its peer sees that it broke (Unix sockets: that it ended)."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
    connection.close()
