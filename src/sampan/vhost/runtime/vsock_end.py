"""The host's end of a vsock connection: a program's socket, and what it has not taken yet."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

from sampan.base.poller import ERROR, HANGUP
from sampan.vhost.core.vsock_connection import Connection
from sampan.vhost.core.vsock_ring import Room

Answer: TypeAlias = Callable[[Connection | None], None]
"""Told once whether the guest takes a connection: None if not."""
MOST_PIECES = 1024  # that a system call takes
GONE = HANGUP | ERROR
_SEND_BUFFER = 1 << 20  # as far as the kernel lets us


class HostEnd:
    """Owns the socket `ours`. What raises OSError means that the program is gone or deaf."""

    __slots__ = (
        "answer", "appetite", "backlog", "connection", "fd", "is_finished", "is_queued",
        "is_readable", "seen", "socket",
    )  # fmt: skip

    def __init__(self, connection: Connection, ours: socket.socket, answer: Answer | None) -> None:
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self.connection = connection
        self.socket = ours
        self.fd = ours.fileno()
        self.answer = answer
        self.backlog: deque[memoryview] = deque()
        self.is_finished = False  # nothing comes after the backlog
        self.is_readable = False
        self.is_queued = False
        self.seen = 0  # whether it was closed, for reading or as a whole
        self.appetite = 1  # how many of the guest's buffers a read may fill

    def write(self, data: list[memoryview], size: int) -> int:
        """Write what the program takes of `size` bytes; keep the rest. How many it took."""
        sent = 0
        if not self.backlog:
            with suppress(BlockingIOError):
                sent = self.socket.sendmsg(data)
        if sent < size:
            skipped = sent
            for view in data:
                if skipped < len(view):
                    self.backlog.append(memoryview(bytes(view[skipped:])))
                skipped = max(0, skipped - len(view))
        return sent

    def flush(self) -> int:
        """Write what the program takes of what is kept. How many bytes it took."""
        total, backlog = 0, self.backlog
        try:
            while backlog:
                sent = self.socket.send(backlog[0])
                total += sent
                if sent < len(backlog[0]):
                    backlog[0] = backlog[0][sent:]
                else:
                    backlog.popleft()
        except BlockingIOError:
            pass
        return total

    def forget(self) -> int:
        """Forget what is kept. How many bytes that was."""
        lost = sum(map(len, self.backlog))
        self.backlog.clear()
        return lost

    def shut(self, how: int) -> None:
        """Shut the socket down one way; one whose peer has gone may not like it."""
        try:
            self.socket.shutdown(how)
        except OSError:
            self.seen |= GONE

    def tell(self, connection: Connection | None) -> None:
        """Tell whoever waits whether the guest takes it."""
        if self.answer is not None:
            answer, self.answer = self.answer, None
            answer(connection)


def views_of(rooms: list[Room], credit: int) -> tuple[list[memoryview], int]:
    """Where up to `credit` bytes can be read to, and how many those are."""
    views: list[memoryview] = []
    capacity = 0
    for room in rooms:
        views += room.data
        capacity += room.size
        if capacity >= credit:
            break
    extra = capacity - credit
    while extra > 0:
        last = views.pop()
        if len(last) > extra:
            views.append(last[: len(last) - extra])
        extra -= len(last)
    return views, min(capacity, credit)
