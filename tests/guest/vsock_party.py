"""One side of generated conversations: ends of connections that send, read and close as ordered.

The same on the host and in the guest, where `main` takes orders; only how sockets are made differs.
See test_vsock_conversation.py for the test and vsock_talk.py for what ought to happen.
"""

import binascii
import contextlib
import errno
import functools
import json
import math
import os
import select
import socket
import time

PERIOD = 65_521  # of what is said; a prime, so that nothing lost or repeated goes unseen
PRIME = 999_999_937
TURNS = 16  # calls of one end before the next has its turn
POLL_S = 0.5


@functools.cache
def content(seed):
    """What is said, twice in a row: the digits of a fraction, as good as random."""
    digits = ((binascii.crc32(seed.encode()) % PRIME) << 8 * PERIOD) // PRIME
    return digits.to_bytes(PERIOD, "big") * 2


class End:
    """An end of a connection: what it is to do, and what has become of it."""

    def __init__(self, chunk, says, hears):
        self.chunk = chunk
        self.says, self.hears = content(says), content(hears)
        self.socket = None
        self.is_connected = self.is_closed = False
        self.is_finishing = self.is_deafening = self.is_closing = False
        self.offered = self.sent = self.got = 0
        self.appetite = 0.0
        self.ended = self.broken = None  # how reading and writing ended: "" or the error's name
        self.wrong = None  # where it heard something else than was said
        self.resize: tuple[int, int] | None = None

    # Orders

    def send(self, size):
        self.offered += size

    def read(self, size):
        self.appetite += math.inf if size is None else size

    def finish(self):
        self.is_finishing = True

    def deafen(self):
        self.is_deafening = True

    def close(self):
        self.is_closing = True

    def abort(self):
        self.is_closed = True
        if self.socket is not None:
            self.socket.close()

    def buffer(self, size, waiting):
        """Change the guest's buffer, once so many bytes are waiting in it."""
        self.resize = size, waiting

    # What happens

    def connected(self, made):
        self.socket = made
        self.is_connected = True
        if self.is_closed:
            made.close()

    def failed(self, error):
        """There will be no connection."""
        self.is_connected = True
        self.ended = self.broken = error

    @property
    def is_pending(self):
        """Whether it still has something to say."""
        return self.sent < self.offered and self.broken is None

    @property
    def wanted(self):
        """What to wait for."""
        if self.is_closed or self.socket is None:
            return 0
        if not self.is_connected:
            return select.POLLOUT
        wants_more = self.got < self.appetite and self.ended is None
        return (select.POLLIN if wants_more else 0) | (select.POLLOUT if self.is_pending else 0)

    def step(self):
        """Do what can be done now."""
        if self.socket is None or not self.is_connected:
            if self.is_closing and self.ended is not None:
                self.abort()
            return
        if self.is_deafening:
            self.is_deafening = False
            self._shut(socket.SHUT_RD)
        if not self.is_closed:
            self._say()
            if self.resize is not None:
                self._resize(*self.resize)
            self._hear()
        if self.is_finishing and not self.is_pending:
            self.is_finishing = False
            self._shut(socket.SHUT_WR)
        if self.is_closing and not self.is_pending:
            self.abort()

    def _say(self):
        for _ in range(TURNS):
            if not self.is_pending:
                return
            at, size = self.sent % PERIOD, min(self.chunk, self.offered - self.sent)
            try:
                self.sent += self.socket.send(self.says[at : at + size])
            except BlockingIOError:
                return
            except OSError as error:
                self.broken = errno.errorcode[error.errno]

    def _hear(self):
        for _ in range(TURNS):
            if not self.got < self.appetite or self.ended is not None:
                return
            try:
                data = self.socket.recv(int(min(self.chunk, self.appetite - self.got)))
            except BlockingIOError:
                return
            except OSError as error:
                self.ended = errno.errorcode[error.errno]
                return
            at = self.got % PERIOD
            if self.wrong is None and data != self.hears[at : at + len(data)]:
                self.wrong = self.got
            self.got += len(data)
            if not data:
                self.ended = ""

    def _resize(self, size, waiting):
        if waiting:
            try:
                if len(self.socket.recv(waiting, socket.MSG_PEEK)) < waiting:
                    return
            except BlockingIOError:
                return
        resize(self.socket, size)
        self.resize = None

    def _shut(self, how):
        with contextlib.suppress(OSError):  # the other end may be gone
            self.socket.shutdown(how)

    def report(self):
        return {
            "sent": self.sent, "got": self.got, "ended": self.ended, "broken": self.broken,
            "wrong": self.wrong, "closed": self.is_closed,
        }  # fmt: skip


def resize(made, size):
    """Change a vsock socket's buffer."""
    for option in (socket.SO_VM_SOCKETS_BUFFER_MAX_SIZE, socket.SO_VM_SOCKETS_BUFFER_SIZE):
        made.setsockopt(socket.AF_VSOCK, option, size)


class Goal:
    """When an end has done what it must; see `vsock_talk`."""

    def __init__(self, count, hears_end, closes, says_all):
        self.count, self.hears_end, self.closes, self.says_all = count, hears_end, closes, says_all

    def is_met(self, end):
        if end.is_closed:
            return True
        if self.closes or (self.says_all and end.is_pending) or end.resize is not None:
            return False
        if end.ended is not None or self.count is None:
            return True
        return end.got >= min(self.count, end.appetite) and not self.hears_end


class Party:
    """All ends of one side. `connect` and `listen` make sockets that do not block."""

    def __init__(self, connect, listen):
        self._connect, self._listen = connect, listen
        self.ends = {}
        self._doors = {}
        self._awaited = {}

    def order(self, orders):
        """Carry out a list of [verb, name, …]."""
        for verb, name, *rest in orders:
            if hasattr(self, f"_{verb}"):
                getattr(self, f"_{verb}")(name, *rest)
            else:
                getattr(self.ends[name], verb)(*rest)

    def _open(self, name, address, backlog, size):
        self._doors[name] = self._listen(address, backlog, size)

    def _await(self, name, door, *rest):
        self.ends[name] = End(*rest)
        self._awaited[door] = self.ends[name]

    def _shut(self, name):
        self._doors.pop(name).close()

    def _call(self, name, address, size, *rest):
        end = self.ends[name] = End(*rest)
        try:
            end.socket, end.is_connected = self._connect(address, size)
        except OSError as error:
            end.failed(errno.errorcode[error.errno])

    def pursue(self, goals, patience_s, control=None):
        """Go on until all goals are met and `control` has something to read; False: it took too long."""
        goals = {name: Goal(*goal) for name, goal in goals.items()}
        deadline = time.monotonic() + patience_s
        is_called = control is None
        while True:
            for end in self.ends.values():
                end.step()
            if is_called and all(goal.is_met(self.ends[name]) for name, goal in goals.items()):
                return True
            if time.monotonic() > deadline:
                return False
            is_called |= self._wait(None if is_called else control)

    def _wait(self, control):
        """Until something can be done, whether `control` has something to read."""
        poll = select.poll()
        waiting = {}
        for end in self.ends.values():
            if wanted := end.wanted:
                poll.register(end.socket, wanted)
                waiting[end.socket.fileno()] = functools.partial(self._connected, end)
        for door in self._awaited:
            poll.register(self._doors[door], select.POLLIN)
            waiting[self._doors[door].fileno()] = functools.partial(self._accept, door)
        if control is not None:
            poll.register(control, select.POLLIN)
        is_hasty = any(end.resize is not None and not end.is_closed for end in self.ends.values())
        ready = [fd for fd, _ in poll.poll(1 if is_hasty else POLL_S * 1000)]
        for fd in ready:
            if fd in waiting:
                waiting[fd]()
        return control is not None and control.fileno() in ready

    def _accept(self, door):
        with contextlib.suppress(BlockingIOError):
            made, _ = self._doors[door].accept()
            made.setblocking(False)
            self._awaited.pop(door).connected(made)

    def _connected(self, end):
        if not end.is_connected:
            end.is_connected = True
            if number := end.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                end.failed(errno.errorcode[number])

    def report(self):
        return {name: end.report() for name, end in self.ends.items()}

    def clear(self):
        """Let go of everything."""
        for end in self.ends.values():
            end.abort()
        for door in self._doors.values():
            door.close()
        self.ends, self._doors, self._awaited = {}, {}, {}


# In the guest


def call_host(port, size):
    made = socket.socket(socket.AF_VSOCK)
    made.setblocking(False)
    if size:
        resize(made, size)
    try:
        made.connect((socket.VMADDR_CID_HOST, port))
    except BlockingIOError:
        return made, False
    except OSError:
        made.close()
        raise
    return made, True


def await_host(port, backlog, size):
    made = socket.socket(socket.AF_VSOCK)
    if size:
        resize(made, size)
    made.bind((socket.VMADDR_CID_ANY, port))
    made.listen(backlog)
    made.setblocking(False)
    return made


def main(control):
    """Carry out what `control` says, a line for each phase; answer with a line."""
    party = Party(call_host, await_host)
    stream = control.makefile("rwb")
    while party.pursue({}, math.inf, control):
        asked = json.loads(stream.readline())
        if asked == "report":
            said = party.report()
        elif asked == "clear":
            party.clear()
            said = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the guest has no pathlib
        else:
            party.order(asked["orders"])
            said = party.pursue(asked["goals"], asked["patience_s"])
        stream.write(json.dumps(said).encode() + b"\n")
        stream.flush()
