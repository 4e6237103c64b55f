"""Connections between two sockets: what programs that lead clients to servers have in common.

Each connection is two streams that end by themselves: whoever has said all may go on listening.
A Docker client needs that. What one side does not take in time is not read from the other.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from contextlib import suppress

_CHUNK = 256 << 10
_READ, _WRITE = select.EPOLLIN, select.EPOLLOUT
_Address = str | tuple[str, int]


class Stream:
    """One direction of a connection: at most one chunk is between `source` and `target`."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source = source
        self.target = target
        self.data = memoryview(b"")
        self.is_over = False

    @property
    def is_reading(self) -> bool:
        """Whether it waits for the source."""
        return not self.data and not self.is_over

    def read(self) -> None:
        """Take what the source has, and give it to the target."""
        try:
            self.data = memoryview(self.source.recv(_CHUNK))
        except BlockingIOError:
            return
        except OSError:  # it was broken off: what came before has been read
            self.data = memoryview(b"")
        if self.data:
            self.write()
        else:
            self._end(self.target, socket.SHUT_WR)

    def write(self) -> None:
        """Give the target what it takes."""
        try:
            self.data = self.data[self.target.send(self.data) :]
        except BlockingIOError:
            pass
        except OSError:  # nobody takes it: the source is to know
            self.data = memoryview(b"")
            self._end(self.source, socket.SHUT_RD)

    def _end(self, told: socket.socket, how: int) -> None:
        self.is_over = True
        with suppress(OSError):  # it has gone as well
            told.shutdown(how)


class Relay:
    """Listens, connects, and moves data until it is told to `stop` (in tests)."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._listeners: dict[int, tuple[socket.socket, int, _Address]] = {}
        self._streams: dict[int, tuple[Stream, Stream]] = {}  # by socket: out of it, into it
        self._watched: dict[int, int] = {}
        self.is_stopping = False

    def serve(self, listener: socket.socket, family: int, address: _Address) -> None:
        """Connect whoever connects to `listener` to the server at `address`, of a socket family."""
        listener.setblocking(False)
        self._listeners[listener.fileno()] = (listener, family, address)
        self._watch(listener.fileno(), _READ)

    def run(self) -> None:
        """Serve, for ever."""
        while not self.is_stopping:
            for fd, events in self._poll.poll():
                if fd in self._listeners:
                    self._accept(*self._listeners[fd])
                elif fd in self._streams:
                    self._move(fd, events)

    def close(self) -> None:
        """Close all sockets."""
        for listener, _, _ in self._listeners.values():
            listener.close()
        for out, _ in self._streams.values():
            out.source.close()
        self._poll.close()

    def _accept(self, listener: socket.socket, family: int, address: _Address) -> None:
        try:
            client, _ = listener.accept()
        except BlockingIOError:
            return
        except OSError as error:  # no descriptors: some may come back
            print(f"cannot take a connection: {error.strerror}", flush=True)
            time.sleep(0.1)
            return
        try:
            server = socket.socket(family)
        except OSError as error:  # it was the last descriptor
            print(f"cannot lead a connection on: {error.strerror}", flush=True)
            client.close()
            return
        for each in (client, server):
            each.setblocking(False)
        code = server.connect_ex(address)
        if code not in (0, errno.EINPROGRESS):
            print(f"{address}: {os.strerror(code)}", flush=True)
            client.close()
            server.close()
            return
        there, back = Stream(client, server), Stream(server, client)
        self._streams[client.fileno()] = (there, back)
        self._streams[server.fileno()] = (back, there)
        self._settle(there, back)

    def _move(self, fd: int, events: int) -> None:
        out, into = self._streams[fd]
        if events & ~_WRITE and out.is_reading:
            out.read()
        if events & ~_READ and into.data:
            into.write()
        self._settle(out, into)

    def _settle(self, out: Stream, into: Stream) -> None:
        """Watch both sockets for what is needed next; close them when both streams are over."""
        if out.is_over and into.is_over:
            for each in (out.source, into.source):
                self._watch(each.fileno(), 0)
                del self._streams[each.fileno()]
                each.close()
            return
        for one, other in ((out, into), (into, out)):
            reads, writes = one.is_reading, bool(other.data)
            self._watch(one.source.fileno(), _READ * reads | _WRITE * writes)

    def _watch(self, fd: int, events: int) -> None:
        """Watch for `events`; for none not at all, or a closed peer would be told all the time."""
        before = self._watched.pop(fd, 0)
        if events:
            self._watched[fd] = events
        if events and not before:
            self._poll.register(fd, events)
        elif before and not events:
            self._poll.unregister(fd)
        elif before != events:
            self._poll.modify(fd, events)
