"""Sockets to DNS servers: one for each exchange, never kept for another.

Each is connected, so that nobody else's datagrams come in and the host tells of refusals, and
has a port that the kernel chose at random. Over TCP the message goes behind its length.

There are at most `MAX_SOCKETS`, and no more than a quarter of the descriptors.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Protocol

from sampan.base.loop import Loop
from sampan.base.poller import READ, WRITE
from sampan.net.runtime.host import descriptor
from sampan.net.services.dnsmodel import SendQuery
from sampan.net.services.dnsstream import Decoder, frame
from sampan.net.services.resolver import Server

MAX_SOCKETS = 1024
READS = 8
_PART = 4  # of all descriptors: machines' connections take the rest
_MAX_MESSAGE = 65535


class Asker(Protocol):
    """Who is told what came of an exchange."""

    def answered(self, exchange: int, data: bytes, server: Server) -> None:
        """A message came; there may be more."""

    def failed(self, exchange: int) -> None:
        """Nothing more will come."""


class Upstream:
    """The open exchanges."""

    def __init__(self, loop: Loop, asker: Asker) -> None:
        self._loop = loop
        self._asker = asker
        self._open: dict[int, _UdpExchange | _TcpExchange] = {}

    def send(self, query: SendQuery) -> bool:
        """Send a query, on its exchange's socket if there is one; False: it cannot be sent."""
        exchange = self._open.get(query.exchange)
        try:
            if exchange is None:
                if len(self._open) >= min(MAX_SOCKETS, descriptor.share(_PART)):
                    return False
                kind = _TcpExchange if query.over_tcp else _UdpExchange
                exchange = self._open[query.exchange] = kind(self._loop, self._asker, query)
            exchange.send(query.data)
        except OSError:
            self.close(query.exchange)
            return False
        return True

    def close(self, exchange: int) -> None:
        """The exchange is over."""
        found = self._open.pop(exchange, None)
        if found is not None:
            found.close()

    def close_all(self) -> None:
        """Give all sockets back."""
        for exchange in list(self._open):
            self.close(exchange)


class _Exchange:
    """A socket on its way to a server."""

    def __init__(self, loop: Loop, asker: Asker, query: SendQuery, kind: int) -> None:
        self._loop, self._asker = loop, asker
        self._number, self._server = query.exchange, query.server
        [found, *_] = socket.getaddrinfo(
            query.server.address, query.server.port, type=kind, flags=socket.AI_NUMERICHOST
        )
        self._socket = socket.socket(found[0], kind)
        self._is_closed = False
        try:
            self._socket.setblocking(False)
            self._connect(found[4])
        except OSError:
            self._socket.close()
            raise

    def _connect(self, address: tuple[str | int, ...] | tuple[int, bytes]) -> None:
        with suppress(BlockingIOError):
            self._socket.connect(address)

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._loop.unwatch(self._socket.fileno())
            self._socket.close()


class _UdpExchange(_Exchange):
    """Questions and answers as datagrams."""

    def __init__(self, loop: Loop, asker: Asker, query: SendQuery) -> None:
        super().__init__(loop, asker, query, socket.SOCK_DGRAM)
        loop.watch(self._socket.fileno(), READ, self._ready)

    def send(self, data: bytes) -> None:
        with suppress(BlockingIOError):  # lost, and asked again
            self._socket.send(data)

    def _ready(self, _: int) -> None:
        for _ in range(READS):
            if self._is_closed:
                return
            try:
                data = self._socket.recv(_MAX_MESSAGE)
            except BlockingIOError:
                return
            except OSError:  # refused, unreachable
                self._asker.failed(self._number)
                return
            self._asker.answered(self._number, data, self._server)


class _TcpExchange(_Exchange):
    """Questions and answers on a connection."""

    def __init__(self, loop: Loop, asker: Asker, query: SendQuery) -> None:
        super().__init__(loop, asker, query, socket.SOCK_STREAM)
        self._unsent = b""
        self._decoder = Decoder()
        loop.watch(self._socket.fileno(), WRITE, self._ready)

    def send(self, data: bytes) -> None:
        self._unsent += frame(data)
        self._loop.change(self._socket.fileno(), READ | WRITE)

    def _ready(self, _: int) -> None:
        try:
            if self._unsent:
                self._push()
            elif not self._pull():
                self._asker.failed(self._number)
        except BlockingIOError:
            return
        except OSError:
            self._asker.failed(self._number)

    def _push(self) -> None:
        self._unsent = self._unsent[self._socket.send(self._unsent) :]
        if not self._unsent:
            self._loop.change(self._socket.fileno(), READ)

    def _pull(self) -> bool:
        """Read what there is; False at its end."""
        data = self._socket.recv(_MAX_MESSAGE)
        for message in self._decoder.received(data):
            if not self._is_closed:
                self._asker.answered(self._number, message, self._server)
        return bool(data)
