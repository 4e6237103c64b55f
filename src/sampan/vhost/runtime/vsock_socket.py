"""The host's side of vsock in a folder: sockets that lead into the guest, and out of it.

    connect, v.sock               any port of the guest; the client says which (`vsock_greeting`)
    00000003.00000946             port 2374 of the guest; guest.00000946 is a link to it
    00000002.00000946, v.sock_2374  served by others, for when the guest connects to port 2374

Sockets that others serve are looked for in several folders, whose paths may be as long as they
like: a connection goes through a descriptor of the folder.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

from sampan.base import acceptor
from sampan.base.acceptor import Acceptor
from sampan.base.loop import Loop
from sampan.base.poller import EDGE, READ
from sampan.vhost.core import vsock_greeting
from sampan.vhost.core.vsock_connection import Connection
from sampan.vhost.core.vsock_greeting import Greeting
from sampan.vhost.runtime.vsock_end import Answer

MAX_GREETING = 64  # clients that have not said yet what they want

Connect = Callable[[int, socket.socket, Answer], None]


class HostSockets:
    """The sockets of one guest in `folder`, for each of `ports` and for all; in the loop's thread.

    Raises:
        SampanError: one cannot be made. None is left then.
    """

    def __init__(
        self, loop: Loop, folder: Path, cid: int, ports: Sequence[int], connect: Connect
    ) -> None:
        self._loop = loop
        self._cid = cid
        self._connect = connect
        self._listeners: list[Acceptor] = []
        self._links: list[Path] = []
        self._greeting: dict[socket.socket, None] = {}
        try:
            for name in (vsock_greeting.CONNECT, vsock_greeting.UNIFIED):
                self._listeners.append(acceptor.listen(loop, folder / name, self._greet))
            for port in ports:
                name, link = vsock_greeting.names_for_guest_port(cid, port)
                accept = partial(self._lead, Greeting(port, cid, wants_answer=False))
                self._listeners.append(acceptor.listen(loop, folder / name, accept))
                (folder / link).unlink(missing_ok=True)
                (folder / link).symlink_to(name)
                self._links.append(folder / link)
        except BaseException:
            self.close()
            raise

    def _greet(self, client: socket.socket) -> None:
        """Wait for what a client says; of too many that say nothing the first has to go."""
        if len(self._greeting) >= MAX_GREETING:
            self._give_up(next(iter(self._greeting)))
        self._greeting[client] = None
        self._loop.watch(client.fileno(), READ | EDGE, lambda _: self._said(client))

    def _said(self, client: socket.socket) -> None:
        if client not in self._greeting:
            return
        try:
            heard = client.recv(vsock_greeting.MAX_LENGTH, socket.MSG_PEEK)
            end = heard.find(b"\n") + 1
            if not end:
                if not heard or len(heard) == vsock_greeting.MAX_LENGTH:
                    self._give_up(client)
                return
            greeting = vsock_greeting.read(client.recv(end))  # what follows is for the guest
        except BlockingIOError:
            return
        except OSError:
            greeting = None
        if greeting is None or greeting.cid not in (None, self._cid):
            self._give_up(client)
            return
        self._loop.unwatch(client.fileno())
        del self._greeting[client]
        self._lead(greeting, client)

    def _lead(self, greeting: Greeting, client: socket.socket) -> None:
        def answer(connection: Connection | None) -> None:
            if connection is not None and greeting.wants_answer:
                with suppress(OSError):  # it has gone already, which will be seen
                    client.send(vsock_greeting.answer(connection.host_port))

        self._connect(greeting.port, client, answer)

    def _give_up(self, client: socket.socket) -> None:
        self._loop.unwatch(client.fileno())
        del self._greeting[client]
        client.close()

    def close(self) -> None:
        """Remove the sockets; connections go on."""
        for client in tuple(self._greeting):
            self._give_up(client)
        for listener in self._listeners:
            listener.close()
        for link in self._links:
            link.unlink(missing_ok=True)


def dial(folders: Sequence[Path], port: int) -> socket.socket | None:
    """A connection to whoever serves a port of the host at a socket in one of `folders`."""
    for folder in folders:
        try:
            opened = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:  # it may be made, or removed, while the machine runs
            continue
        try:
            for name in vsock_greeting.names_for_host_port(port):
                if made := _connected(f"/proc/self/fd/{opened}/{name}"):
                    return made
        finally:
            os.close(opened)
    return None


def _connected(path: str) -> socket.socket | None:
    """A connection; None: nobody is there, too many wait there, or we have no descriptors left."""
    with ExitStack() as undo, suppress(OSError):
        made = undo.enter_context(socket.socket(socket.AF_UNIX))
        made.setblocking(False)
        made.connect(path)
        undo.pop_all()
        return made
    return None
