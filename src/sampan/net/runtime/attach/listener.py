"""A Unix socket where machines connect: each connection becomes a link of its own.

It is open to its owner only. What speaks on the connections is the business of `accept`:
`stream_link` for QEMU, a handshake first for HyperKit (`attach.vmnet`).
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from sampan.base import log, unixsocket
from sampan.base.loop import Loop
from sampan.base.poller import READ
from sampan.net.link.stream import QEMU, Framing
from sampan.net.runtime.attach.stream import stream_link
from sampan.net.runtime.engine import Link, Plug

Join: TypeAlias = Callable[[Link, str], Plug]
"""Plugs a link in under a name: `Engine.plug`, with what is known of the network's links."""

BACKLOG = 16
PAUSE_S = 0.5  # without descriptors, before it is tried again
_SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_log = log.get(__name__)


class LinkListener:
    """Listens at `path` and hands each connection, non-blocking, to `accept`.

    Raises:
        SampanError: it cannot listen there.
    """

    def __init__(self, loop: Loop, path: Path, accept: Callable[[socket.socket], object]) -> None:
        self._loop = loop
        self._accept = accept
        self._bound = unixsocket.bind(path)
        self._bound.socket.listen(BACKLOG)
        loop.watch(self._bound.socket.fileno(), READ, self._ready)

    @property
    def path(self) -> Path:
        """Where it listens."""
        return self._bound.path

    def _ready(self, _: int) -> None:
        try:
            connection, _address = self._bound.socket.accept()
        except OSError as error:  # nothing there (any more), or no descriptor for it
            if error.errno in _SHORT:
                _log.warning("cannot take a connection at %s: %s", self.path, error.strerror)
                self._loop.change(self._bound.socket.fileno(), 0)
                self._loop.call_at(self._loop.now() + PAUSE_S, self._resume)
            return
        connection.setblocking(False)
        try:
            self._accept(connection)
        except Exception:  # noqa: BLE001  costs this connection
            _log.exception("a connection at %s is given up", self.path)
            connection.close()

    def _resume(self) -> None:
        if self._bound.socket.fileno() >= 0:
            self._loop.change(self._bound.socket.fileno(), READ)

    def close(self) -> None:
        """Listen no more; links that were made go on."""
        if self._bound.socket.fileno() >= 0:
            self._loop.unwatch(self._bound.socket.fileno())
            self._bound.close()


def listen_stream(
    loop: Loop, path: Path, join: Join, *, name: str = "", framing: Framing = QEMU
) -> LinkListener:
    """Let machines connect at `path`; their links are called NAME, NAME-2 and so on.

    Raises:
        SampanError: it cannot listen there.
    """
    count = 0

    def accept(connection: socket.socket) -> None:
        nonlocal count
        count += 1
        base = name or path.stem
        link = stream_link(connection, framing)
        try:
            join(link, base if count == 1 else f"{base}-{count}")
        except BaseException:
            link.close()
            raise

    return LinkListener(loop, path, accept)
