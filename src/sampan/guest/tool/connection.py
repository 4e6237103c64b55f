"""A channel of the forwarder protocol and the socket of its server, joined; without its loop."""

from __future__ import annotations

import errno
import os
import select
import socket
from contextlib import suppress

from sampan.guest.tool import datagram, mux
from sampan.guest.tool.mux import Destination, Mux

READ, WRITE = select.EPOLLIN, select.EPOLLOUT
MAX_WAITING = 256 << 10  # bytes for the host, before servers are no longer read
_CHUNK = 64 << 10


class Connection:
    """A channel and the socket of its server."""

    def __init__(self, mux: Mux, channel: int, server: socket.socket) -> None:
        self.mux = mux
        self.channel = channel
        self.server = server
        self.pending = bytearray()  # from the host, for the server
        self.is_connected = False
        self.host_finished = self.server_finished = self.host_gone = False

    def wanted(self) -> int:
        """Which events of the server's socket matter now."""
        reads = (
            self.is_connected
            and not self.server_finished
            and not self.host_gone
            and self.mux.room(self.channel) > 0
            and len(self.mux.unsent) < MAX_WAITING
        )
        writes = not self.is_connected or bool(self.pending)
        return READ * reads | WRITE * writes

    def ready(self, events: int) -> None:
        """The server's socket can do something; what is over is closed.

        Raises:
            OSError: it broke.
        """
        if not self.is_connected:
            code = self.server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, os.strerror(code))
            if not _has_peer(self.server):
                return  # what was told was about another socket of this number
            self.is_connected = True
        self.write()
        if events & ~WRITE and self.wanted() & READ:
            self._read()

    def write(self) -> None:
        """Give the server what waits for it, and the end after all."""
        if self.pending and self.is_connected:
            with suppress(BlockingIOError):
                sent = self.server.send(self.pending)
                del self.pending[:sent]
                self.mux.consumed(self.channel, sent)
        if self.host_finished and self.is_connected and not self.pending:
            with suppress(OSError):  # it has ended by itself
                self.server.shutdown(socket.SHUT_WR)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will go either way."""
        done = self.host_finished and not self.pending
        return done and (self.server_finished or self.host_gone)

    def _read(self) -> None:
        try:
            data = self.server.recv(min(_CHUNK, self.mux.room(self.channel)))
        except BlockingIOError:
            return
        if data:
            self.mux.send(self.channel, data)
        else:
            self.server_finished = True
            self.mux.shutdown(self.channel)


class DatagramConnection(Connection):
    """A channel that carries datagrams, framed, and the UDP socket they go through.

    Of the host's nothing is kept but the beginning of a datagram, of the server's what the channel
    does not take yet of one. What is too much for the socket meanwhile is lost.
    """

    def __init__(self, mux: Mux, channel: int, server: socket.socket) -> None:
        super().__init__(mux, channel, server)
        self._unsent = b""
        self._kept = 0  # bytes of `pending` that were there before; the window may be smaller than a datagram

    def wanted(self) -> int:
        """See `Connection.wanted`."""
        is_open = not self._unsent and self.mux.room(self.channel) > 0
        return READ * (is_open and len(self.mux.unsent) < MAX_WAITING)

    def ready(self, events: int) -> None:
        """See `Connection.ready`; that nobody listens there (ICMP) is an error too."""
        while self.wanted():
            try:
                self._unsent = datagram.framed(self.server.recv(datagram.MAX_PAYLOAD))
            except BlockingIOError:
                return
            self._send()

    def write(self) -> None:
        """See `Connection.write`.

        Raises:
            AgentError: what the host sent are no datagrams.
        """
        self.mux.consumed(self.channel, len(self.pending) - self._kept)
        for payload in datagram.taken(self.pending):
            with suppress(BlockingIOError):
                self.server.send(payload)
        self._kept = len(self.pending)
        self._send()  # there may be room by now

    @property
    def is_over(self) -> bool:
        """Whether the host has said all it will: it waits for no answers then."""
        return self.host_finished or self.host_gone

    def _send(self) -> None:
        room = self.mux.room(self.channel)
        if self._unsent and room:
            self.mux.send(self.channel, self._unsent[:room])
            self._unsent = self._unsent[room:]


def opened(mux_: Mux, channel: int, to: Destination) -> Connection:
    """A connection that has begun.

    Raises:
        OSError: it leads nowhere.
    """
    server = _socket(to)
    try:
        server.setblocking(False)
        code = server.connect_ex(_address(to))
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))
    except BaseException:
        server.close()
        raise
    kind = DatagramConnection if to.protocol == mux.UDP else Connection
    return kind(mux_, channel, server)


def _has_peer(each: socket.socket) -> bool:
    try:
        each.getpeername()
    except OSError:
        return False
    return True


def _socket(to: Destination) -> socket.socket:
    if to.protocol == mux.UNIX:
        return socket.socket(socket.AF_UNIX)
    kind = socket.SOCK_DGRAM if to.protocol == mux.UDP else socket.SOCK_STREAM
    return socket.socket(socket.AF_INET if len(to.address) == 4 else socket.AF_INET6, kind)


def _address(to: Destination) -> bytes | tuple[str, int]:
    if to.protocol == mux.UNIX:
        return to.path
    family = socket.AF_INET if len(to.address) == 4 else socket.AF_INET6
    return (socket.inet_ntop(family, to.address), to.port)
