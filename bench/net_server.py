"""The host's side of bench/net.py: `net_server.py ECHO_PORT… -- CLOSING_PORT…`.

On the first ports it echoes, on the others it answers the first data and closes. One thread with
epoll; imports little, so that it starts at once.
"""

from __future__ import annotations

import resource
import select
import socket
import sys


class Server:
    """Both services."""

    def __init__(self, echoing: list[int], closing: list[int]) -> None:
        self._poll = select.epoll()
        self._listeners: dict[int, tuple[socket.socket, bool]] = {}
        self._open: dict[int, tuple[socket.socket, bool]] = {}  # with: whether it stays open
        for port in (*echoing, *closing):
            listener = socket.create_server(("", port), backlog=4096)
            listener.setblocking(False)
            self._listeners[listener.fileno()] = (listener, port in echoing)
            self._poll.register(listener, select.EPOLLIN)

    def serve(self) -> None:
        """Serve for ever."""
        while True:
            for number, _ in self._poll.poll():
                if number in self._listeners:
                    self._accept(*self._listeners[number])
                else:
                    self._answer(*self._open[number])

    def _accept(self, listener: socket.socket, stays: bool) -> None:
        for _ in range(64):
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                return
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open[connection.fileno()] = (connection, stays)
            self._poll.register(connection, select.EPOLLIN)

    def _answer(self, connection: socket.socket, stays: bool) -> None:
        try:
            data = connection.recv(65536)
            if data:
                connection.send(data)
        except OSError:
            data = b""
        if not (data and stays):
            del self._open[connection.fileno()]
            connection.close()


def main() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
    middle = sys.argv.index("--")
    echoing, closing = sys.argv[1:middle], sys.argv[middle + 1 :]
    Server([int(port) for port in echoing], [int(port) for port in closing]).serve()


if __name__ == "__main__":
    main()
