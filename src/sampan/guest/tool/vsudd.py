"""The program of `sampan/vsudd`: lets the host reach Unix sockets of this machine through vsock.

    vsudd -inport 2374:unix:/run/containerd/containerd.sock [-inport …] [-detach] [-pidfile FILE]

Options are those of LinuxKit's program: a port is a number (`0x946` too) or a GUID of Hyper-V,
whose first part it is. `-syslog` is taken, and makes no difference: messages go to the standard
output.

Each connection is two streams that end by themselves: whoever has said all may go on listening.
A Docker client needs that. What one side does not take in time is not read from the other.
"""

from __future__ import annotations

import os
import re
import select
import socket
import time
from contextlib import suppress

from sampan.guest.agent.fault import AgentError
from sampan.guest.tool import option

_ANY_CID = 0xFFFFFFFF
_BACKLOG = 128
_CHUNK = 256 << 10
_READ, _WRITE = select.EPOLLIN, select.EPOLLOUT
_INPORT = re.compile(
    r"(?P<number>\d+|0[xX][0-9a-fA-F]+|[0-9a-fA-F]{8}(?=-facb-11e6-bd58-64006a7986d3:))"
    r"(-facb-11e6-bd58-64006a7986d3)?:unix:(?P<path>/.+)"
)


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
        self._listeners: dict[int, tuple[socket.socket, str]] = {}
        self._streams: dict[int, tuple[Stream, Stream]] = {}  # by socket: out of it, into it
        self._watched: dict[int, int] = {}
        self.is_stopping = False

    def serve(self, listener: socket.socket, path: str) -> None:
        """Connect whoever connects to `listener` to the Unix socket at `path`."""
        listener.setblocking(False)
        self._listeners[listener.fileno()] = (listener, path)
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
        for listener, _ in self._listeners.values():
            listener.close()
        for out, _ in self._streams.values():
            out.source.close()
        self._poll.close()

    def _accept(self, listener: socket.socket, path: str) -> None:
        try:
            client, _ = listener.accept()
        except BlockingIOError:
            return
        except OSError as error:  # no descriptors: some may come back
            print(f"vsudd: cannot take a connection: {error.strerror}", flush=True)
            time.sleep(0.1)
            return
        server = socket.socket(socket.AF_UNIX)
        for each in (client, server):
            each.setblocking(False)
        try:
            server.connect(path)
        except OSError as error:
            print(f"vsudd: {path}: {error.strerror}", flush=True)
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


def parse_inport(text: str) -> tuple[int, str]:
    """The vsock port and the path of an `-inport`.

    Raises:
        AgentError: it is none.
    """
    found = _INPORT.fullmatch(text)
    if found is None:
        raise AgentError(f"-inport {text}: it has to be PORT:unix:/PATH")
    number = found["number"]
    base = 16 if found[2] or number[:2] in ("0x", "0X") else 10
    return int(number, base), found["path"]


def main(words: list[str]) -> int:
    """Run the program; the exit status."""
    inports, rest = _split(words)
    options, flags, extra = option.parse(rest, {"pidfile": ""}, ("detach", "syslog"))
    if extra or not inports:
        raise AgentError("say -inport PORT:unix:/PATH, and again for more")
    relay = Relay()
    for port, path in inports:
        relay.serve(_listen(port), path)
        print(f"vsudd: port {port} leads to {path}", flush=True)
    if "detach" in flags and os.fork():
        return 0
    if options["pidfile"]:
        with open(options["pidfile"], "w", encoding="ascii") as stream:
            stream.write(f"{os.getpid()}\n")
    relay.run()
    return 0


def _split(words: list[str]) -> tuple[list[tuple[int, str]], list[str]]:
    """All `-inport`s, and the other words."""
    inports, rest, left = [], [], list(words)
    while left:
        word = left.pop(0)
        name, equals, value = word.partition("=")
        if name.lstrip("-") != "inport" or not name.startswith("-"):
            rest.append(word)
        elif equals or left:
            inports.append(parse_inport(value if equals else left.pop(0)))
        else:
            raise AgentError("the option -inport needs a value")
    return inports, rest


def _listen(port: int) -> socket.socket:
    try:
        listener = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    except OSError as error:
        raise AgentError(f"this machine has no vsock: {error.strerror}") from error
    try:
        listener.bind((_ANY_CID, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise AgentError(f"cannot listen on vsock port {port}: {error.strerror}") from error
    return listener
