"""The program of `sampan/vpnkit-forwarder`: the host's connections, through vsock, to servers here.

    vpnkit-forwarder [-vsockPort 62373] [-data-listen PORT|PATH]

The host connects to the vsock port (or the Unix socket PATH) and speaks VPNKit's forwarder
protocol (`mux`). Each of its channels is connected to a TCP or UDP address or a Unix socket of
this machine. Half-closed connections stay open, whoever is slow is waited for and holds up nobody
else (datagrams are lost instead), and a channel that leads nowhere is closed.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from contextlib import suppress

from sampan.guest.agent.fault import AgentError
from sampan.guest.tool import datagram, mux, option
from sampan.guest.tool.mux import Destination, Event, Mux

_ANY_CID = 0xFFFFFFFF
_BACKLOG = 16
_CHUNK = 64 << 10
_MAX_WAITING = 256 << 10  # for the host, before servers are no longer read
_READ, _WRITE = select.EPOLLIN, select.EPOLLOUT
_RESET = struct.pack("ii", 1, 0)


class Connection:
    """A channel and the socket of its server."""

    def __init__(self, session: Session, channel: int, server: socket.socket) -> None:
        self.session = session
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
            and self.session.mux.room(self.channel) > 0
            and len(self.session.mux.unsent) < _MAX_WAITING
        )
        writes = not self.is_connected or bool(self.pending)
        return _READ * reads | _WRITE * writes

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
        if events & ~_WRITE and self.wanted() & _READ:
            self._read()

    def write(self) -> None:
        """Give the server what waits for it, and the end after all."""
        if self.pending and self.is_connected:
            with suppress(BlockingIOError):
                sent = self.server.send(self.pending)
                del self.pending[:sent]
                self.session.mux.consumed(self.channel, sent)
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
            data = self.server.recv(min(_CHUNK, self.session.mux.room(self.channel)))
        except BlockingIOError:
            return
        if data:
            self.session.mux.send(self.channel, data)
        else:
            self.server_finished = True
            self.session.mux.shutdown(self.channel)


class DatagramConnection(Connection):
    """A channel that carries datagrams, framed, and the UDP socket they go through.

    Of the host's nothing is kept but the beginning of a datagram, of the server's what the channel
    does not take yet of one. What is too much for the socket meanwhile is lost.
    """

    def __init__(self, session: Session, channel: int, server: socket.socket) -> None:
        super().__init__(session, channel, server)
        self._unsent = b""
        self._kept = 0  # bytes of `pending` that were there before; the window may be smaller than a datagram

    def wanted(self) -> int:
        """See `Connection.wanted`."""
        is_open = not self._unsent and self.session.mux.room(self.channel) > 0
        return _READ * (is_open and len(self.session.mux.unsent) < _MAX_WAITING)

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
        self.session.mux.consumed(self.channel, len(self.pending) - self._kept)
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
        room = self.session.mux.room(self.channel)
        if self._unsent and room:
            self.session.mux.send(self.channel, self._unsent[:room])
            self._unsent = self._unsent[room:]


class Session:
    """One host's stream and its connections."""

    def __init__(self, relay: Relay, stream: socket.socket) -> None:
        self.mux = Mux()
        self.stream = stream
        self._relay = relay
        self._connections: dict[int, Connection] = {}
        stream.setblocking(False)

    def ready(self, events: int) -> None:
        """The stream can do something.

        Raises:
            AgentError: the host breaks the rules, or is gone.
            OSError: the stream broke.
        """
        if events & ~_WRITE:
            try:
                data = self.stream.recv(_CHUNK)
            except BlockingIOError:
                data = None
            if data == b"":
                raise AgentError("the host is gone")
            for event in self.mux.received(data or b""):
                self._handle(event)
        self.flush()

    def flush(self) -> None:
        """Send the host what there is, as far as it takes it; and watch for what is next."""
        with suppress(BlockingIOError):
            while self.mux.unsent:
                del self.mux.unsent[: self.stream.send(self.mux.unsent)]
        self._relay.watch(self.stream, _READ | _WRITE * bool(self.mux.unsent), self)
        for connection in self._connections.values():
            self._relay.watch(connection.server, connection.wanted(), connection)

    def settle(self, connection: Connection, broken: bool = False) -> None:
        """Close a connection that is over, or broken."""
        if broken or connection.is_over:
            self.mux.close(connection.channel)
            self._drop(connection)

    def close(self) -> None:
        """End all connections and the stream."""
        for connection in tuple(self._connections.values()):
            self._drop(connection, reset=True)
        self._relay.forget(self.stream)

    def _handle(self, event: Event) -> None:
        if event.destination is not None:
            self._open(event.channel, event.destination)
            return
        connection = self._connections.get(event.channel)
        if connection is None:
            return
        if event.kind == "closed":
            connection.host_gone = True
            if not connection.host_finished:
                self._drop(connection, reset=True)
                return
        elif event.kind == "finished":
            connection.host_finished = True
        connection.pending += event.data
        try:
            connection.write()
        except (AgentError, OSError):
            self.settle(connection, broken=True)
        else:
            self.settle(connection)

    def _open(self, channel: int, to: Destination) -> None:
        server = None
        try:
            server = _socket(to)
            server.setblocking(False)
            code = server.connect_ex(_address(to))
            if code not in (0, errno.EINPROGRESS):
                raise OSError(code, os.strerror(code))
        except OSError:  # the host hears of it
            if server is not None:
                server.close()
            self.mux.close(channel)
            return
        kind = DatagramConnection if to.protocol == mux.UDP else Connection
        self._connections[channel] = kind(self, channel, server)

    def _drop(self, connection: Connection, *, reset: bool = False) -> None:
        del self._connections[connection.channel]
        if reset and connection.server.family != socket.AF_UNIX:
            connection.server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._relay.forget(connection.server)


class Relay:
    """Listens, and moves data until it is told to stop (in tests)."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._listeners: dict[int, socket.socket] = {}
        self._watched: dict[int, tuple[int, Session | Connection]] = {}
        self._sessions: set[Session] = set()
        self.is_stopping = False

    def serve(self, listener: socket.socket) -> None:
        """Take the hosts that connect to `listener`."""
        listener.setblocking(False)
        self._listeners[listener.fileno()] = listener
        self._poll.register(listener.fileno(), _READ)

    def run(self) -> None:
        """Serve, for ever."""
        while not self.is_stopping:
            for fd, events in self._poll.poll():
                if fd in self._listeners:
                    self._accept(self._listeners[fd])
                elif fd in self._watched:  # else it was closed by what came before
                    self._turn(self._watched[fd][1], events)

    def close(self) -> None:
        """Close all sockets."""
        for session in tuple(self._sessions):
            session.close()
        for listener in self._listeners.values():
            listener.close()
        self._poll.close()

    def watch(self, each: socket.socket, events: int, owner: Session | Connection) -> None:
        """Call `owner` for `events`; for none not at all, or a closed peer is told all the time."""
        fd = each.fileno()
        before = self._watched.get(fd, (0, owner))[0]
        if events == before:
            return
        if not events:
            self._poll.unregister(fd)
            del self._watched[fd]
            return
        if before:
            self._poll.modify(fd, events)
        else:
            self._poll.register(fd, events)
        self._watched[fd] = (events, owner)

    def forget(self, each: socket.socket) -> None:
        """Close a socket."""
        if self._watched.pop(each.fileno(), None) is not None:
            self._poll.unregister(each.fileno())
        each.close()

    def _accept(self, listener: socket.socket) -> None:
        try:
            stream, _ = listener.accept()
        except OSError:  # it changed its mind, or there are no descriptors just now
            return
        session = Session(self, stream)
        self._sessions.add(session)
        self._turn(session, 0)

    def _turn(self, owner: Session | Connection, events: int) -> None:
        session = owner if isinstance(owner, Session) else owner.session
        try:
            if isinstance(owner, Connection):
                self._move(owner, events)
                session.flush()
            else:
                owner.ready(events)
        except (AgentError, OSError) as error:
            print(f"vpnkit-forwarder: {error}", flush=True)
            self._sessions.discard(session)
            session.close()

    @staticmethod
    def _move(connection: Connection, events: int) -> None:
        try:
            connection.ready(events)
        except OSError:  # the server's side broke: that ends this connection only
            connection.session.settle(connection, broken=True)
        else:
            connection.session.settle(connection)


def main(words: list[str]) -> int:
    """Run the program; the exit status."""
    defaults = {"vsockPort": "62373", "hvGuid": "", "data-listen": ""}
    given, _, rest = option.parse(words, defaults)
    if rest:
        raise AgentError(f"what is {rest[0]}?")
    relay = Relay()
    relay.serve(_listen(given["vsockPort"], given["data-listen"]))
    print("vpnkit-forwarder: ready", flush=True)
    relay.run()
    return 0


def _listen(port: str, path: str) -> socket.socket:
    if path.isdigit():
        port, path = path, ""
    try:
        address = (_ANY_CID, int(port, 0))
    except ValueError:
        raise AgentError(f"-vsockPort {port} is no number") from None
    try:
        listener = socket.socket(socket.AF_UNIX if path else socket.AF_VSOCK)
    except OSError as error:
        raise AgentError(f"this machine has no vsock: {error.strerror}") from error
    try:
        listener.bind(path or address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        where = path or f"vsock port {port}"
        raise AgentError(f"cannot listen on {where}: {error.strerror}") from error
    return listener


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
