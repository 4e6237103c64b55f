"""A listening socket whose connections become flows to a machine.

A connection is taken at once and reset if the machine refuses it or is not there: the host's
kernel has said yes before we can ask.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from sampan.base.acceptor import Acceptor, reset
from sampan.net.core.endpoint import Endpoint
from sampan.net.core.flow import Flow
from sampan.net.runtime.engine import Engine
from sampan.net.runtime.host.tcp import HostTcp
from sampan.net.runtime.outbound import HostOutbound


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
        self._open_flow = open_flow
        self._acceptor = Acceptor(outbound.engine.loop, listening, self._begin)

    @property
    def accepted(self) -> int:
        """How many connections were taken."""
        return self._acceptor.accepted

    def _begin(self, connection: socket.socket) -> None:
        flow = self._open_flow()
        if flow is None:
            reset(connection)
            return
        engine = self._outbound.engine
        channel = HostTcp(
            engine.loop, engine.stack, flow, connection, self._outbound.watch_flow(flow)
        )
        channel.begin(engine.loop.now())

    def close(self) -> None:
        """Listen no more; connections that were taken go on."""
        self._acceptor.close()


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
