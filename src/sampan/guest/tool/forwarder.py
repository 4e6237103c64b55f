"""The program of `sampan/vpnkit-forwarder`: the host's connections, through vsock, to servers here.

    vpnkit-forwarder [-vsockPort 62373] [-data-listen PORT|PATH]

The host connects to the vsock port (or the Unix socket PATH) and speaks VPNKit's forwarder
protocol (`mux`). Each of its channels is connected to a TCP or UDP address or a Unix socket of
this machine. Half-closed connections stay open, whoever is slow is waited for and holds up nobody
else (datagrams are lost instead), and a channel that leads nowhere is closed.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from sampan.guest.agent.fault import AgentError
from sampan.guest.tool import connection as connections
from sampan.guest.tool import option
from sampan.guest.tool.connection import READ, WRITE, Connection
from sampan.guest.tool.mux import Destination, Event, Mux

_ANY_CID = 0xFFFFFFFF
_BACKLOG = 16
_CHUNK = 64 << 10
_RESET = struct.pack("ii", 1, 0)


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
        if events & ~WRITE:
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
        self._relay.watch(self.stream, READ | WRITE * bool(self.mux.unsent), self, self.ready)
        for each in self._connections.values():
            self._relay.watch(each.server, each.wanted(), self, partial(self._moved, each))

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
        self._do(connection, connection.write)

    def _moved(self, connection: Connection, events: int) -> None:
        """A server's socket can do something."""
        self._do(connection, partial(connection.ready, events))
        self.flush()

    def _do(self, connection: Connection, work: Callable[[], None]) -> None:
        """Close a connection that breaks by it, or is over then."""
        broken = False
        try:
            work()
        except (AgentError, OSError):
            broken = True
        if broken or connection.is_over:
            self.mux.close(connection.channel)
            self._drop(connection)

    def _open(self, channel: int, to: Destination) -> None:
        try:
            self._connections[channel] = connections.opened(self.mux, channel, to)
        except OSError:  # the host hears of it
            self.mux.close(channel)

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
        self._watched: dict[int, tuple[int, Session, Callable[[int], None]]] = {}
        self._sessions: set[Session] = set()
        self.is_stopping = False

    def serve(self, listener: socket.socket) -> None:
        """Take the hosts that connect to `listener`."""
        listener.setblocking(False)
        self._listeners[listener.fileno()] = listener
        self._poll.register(listener.fileno(), READ)

    def run(self) -> None:
        """Serve, for ever."""
        while not self.is_stopping:
            for fd, events in self._poll.poll():
                if fd in self._listeners:
                    self._accept(self._listeners[fd])
                elif fd in self._watched:  # else it was closed by what came before
                    _, session, ready = self._watched[fd]
                    self._turn(session, ready, events)

    def close(self) -> None:
        """Close all sockets."""
        for session in tuple(self._sessions):
            session.close()
        for listener in self._listeners.values():
            listener.close()
        self._poll.close()

    def watch(
        self, each: socket.socket, events: int, session: Session, ready: Callable[[int], None]
    ) -> None:
        """Call `ready` for `events`; for none not at all, or a closed peer is told all the time."""
        fd = each.fileno()
        before = self._watched[fd][0] if fd in self._watched else 0
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
        self._watched[fd] = (events, session, ready)

    def forget(self, each: socket.socket) -> None:
        """Close a socket."""
        if self._watched.pop(each.fileno(), None) is not None:
            self._poll.unregister(each.fileno())
        each.close()

    def _accept(self, listener: socket.socket) -> None:
        try:
            stream, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):  # it changed its mind
            return
        except OSError as error:  # no descriptors: some may come back
            print(f"vpnkit-forwarder: cannot take a connection: {error.strerror}", flush=True)
            time.sleep(0.1)
            return
        session = Session(self, stream)
        self._sessions.add(session)
        self._turn(session, session.ready, 0)

    def _turn(self, session: Session, ready: Callable[[int], None], events: int) -> None:
        try:
            ready(events)
        except (AgentError, OSError) as error:
            print(f"vpnkit-forwarder: {error}", flush=True)
            self._sessions.discard(session)
            session.close()


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
