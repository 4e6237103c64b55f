"""A listening socket whose connections become flows to a machine.

A connection is taken at once and reset if the machine refuses it or is not there: the host's
kernel has said yes before we can ask.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from sampan.base import log
from sampan.net.core.endpoint import Endpoint
from sampan.net.core.flow import Flow
from sampan.net.runtime.engine import Engine
from sampan.net.runtime.host.tcp import HostTcp
from sampan.net.runtime.outbound import HostOutbound
from sampan.net.runtime.poller import READ

_log = log.get(__name__)

ACCEPTS = 64  # before others have their turn
PAUSE_S = 0.1  # without descriptors, before it is tried again
_SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_LINGER_RESET = struct.pack("ii", 1, 0)


class Listener:
    """Takes connections; `open_flow` opens the machine's side of one, or says None: nobody there.

    Owns the socket; a Unix socket's file is removed at the end, if it is still this one.
    """

    def __init__(
        self,
        outbound: HostOutbound,
        listening: socket.socket,
        open_flow: Callable[[], Flow | None],
    ) -> None:
        self._outbound = outbound
        self._engine = engine = outbound.engine
        self._socket = listening
        self._open_flow = open_flow
        self._file = _identity(listening)
        self.accepted = 0
        engine.loop.watch(listening.fileno(), READ, self._ready)

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
            self._begin(connection)

    def _begin(self, connection: socket.socket) -> None:
        flow = self._open_flow()
        if flow is None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
            connection.close()
            return
        connection.setblocking(False)
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        engine = self._engine
        channel = HostTcp(
            engine.loop, engine.stack, flow, connection, self._outbound.watch_flow(flow)
        )
        channel.begin(engine.loop.now())

    def _pause(self, error: OSError) -> None:
        _log.warning("cannot take a connection: %s", error.strerror)
        loop, fd = self._engine.loop, self._socket.fileno()
        loop.change(fd, 0)
        loop.call_at(loop.now() + PAUSE_S, self._resume)

    def _resume(self) -> None:
        if self._socket.fileno() >= 0:
            self._engine.loop.change(self._socket.fileno(), READ)

    def close(self) -> None:
        """Listen no more; connections that were taken go on."""
        if self._socket.fileno() < 0:
            return
        self._engine.loop.unwatch(self._socket.fileno())
        if self._file is not None and _identity(self._socket) == self._file:
            Path(self._socket.getsockname()).unlink()
        self._socket.close()


def _identity(bound: socket.socket) -> tuple[int, int] | None:
    """Device and inode of a Unix socket's file, None if it has none (any more)."""
    if bound.family != socket.AF_UNIX:
        return None
    try:
        found = os.lstat(bound.getsockname())
    except OSError:
        return None
    return found.st_dev, found.st_ino


class Sources:
    """Ports of the gateway in whose name connections to machines are opened, one after another."""

    FIRST, LAST = 16384, 65535

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._next = self.FIRST

    def endpoint(self, towards: bytes) -> Endpoint:
        """The next one, of the family of `towards`."""
        port = self._next
        self._next = self.FIRST if port == self.LAST else port + 1
        return Endpoint(self._engine.stack.network.source_for(towards), port)

    def open(self, guest: Endpoint) -> Flow | None:
        """A flow to `guest`; None if that is no machine, or has no port left."""
        for _ in range(8):
            try:
                return self._engine.stack.open(
                    guest, self.endpoint(guest.address), self._engine.loop.now()
                )
            except ValueError:
                continue
        return None
