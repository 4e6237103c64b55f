"""A client's socket and a channel of a machine's forwarder, joined."""

from __future__ import annotations

import socket

from sampan.base.acceptor import reset
from sampan.base.loop import Loop
from sampan.base.poller import ERROR, READ, WRITE
from sampan.net.link.error import LinkError
from sampan.net.link.multiplex import Destination
from sampan.net.runtime.forward.trunk import Trunk

LINGER_S = 30.0  # for a client that has not taken everything when the machine is done
READS = 8  # of one window, before others have their turn


class Junction:
    """A client's socket and a channel, joined. What the client does not take waits here.

    It is in `everybody` for as long as it has the socket.

    client → machine    socket ready, room → recv → send
    machine → client    received → socket, as far as it takes it → consumed
    ends                FIN ⇄ Shutdown, RST ⇄ Close without a Shutdown before it
    """

    __slots__ = (
        "_channel", "_events", "_everybody", "_loop", "_over", "_peer_ended", "_read_end", "_shut",
        "_socket", "_trunk", "_waiting",
    )  # fmt: skip

    def __init__(
        self, loop: Loop, trunk: Trunk, connection: socket.socket, everybody: set[Junction]
    ) -> None:
        self._everybody = everybody
        self._loop = loop
        self._trunk = trunk
        self._socket = connection
        self._channel = -1
        self._events = 0
        self._waiting = bytearray()  # at most a window
        self._read_end = self._peer_ended = self._shut = False
        self._over = False  # of the channel: only what waits is still to be sent

    def begin(self, destination: Destination) -> None:
        """Open the channel; reset the client if there can be none."""
        try:
            self._channel = self._trunk.open(destination, self)
        except LinkError:
            reset(self._socket)
            return
        self._loop.watch(self._socket.fileno(), 0, self._ready)
        self._everybody.add(self)

    def break_off(self) -> None:
        """One side broke off, or is to: so does the other."""
        if self._leave():
            reset(self._socket)

    # The channel's side

    def writable(self) -> None:
        """See `End.writable`."""
        if not self._read_end:
            self._set(self._events | READ)
            self._read(READ)  # now, for it is this one's turn

    def received(self, data: bytes) -> None:
        """See `End.received`."""
        self._waiting += data
        if not self._events & WRITE:
            self._push()

    def finished(self) -> None:
        """See `End.finished`."""
        self._peer_ended = True
        self._push()

    def closed(self) -> None:
        """See `End.closed`. The client still gets what waits for it."""
        self._over = True
        self._set(self._events & ~READ)
        self._push()
        if self._socket.fileno() >= 0:
            self._loop.call_at(self._loop.now() + LINGER_S, self.break_off)

    def _push(self) -> None:
        """Give the client what waits for it, and the end behind that."""
        waiting = self._waiting
        try:
            while waiting:
                size = self._socket.send(waiting)
                del waiting[:size]
                self._trunk.consumed(self._channel, size)
        except BlockingIOError:
            self._set(self._events | WRITE)
            return
        except OSError:
            self.break_off()
            return
        self._set(self._events & ~WRITE)
        if self._over and not self._peer_ended:
            self.break_off()
        elif self._over or (self._peer_ended and self._read_end):
            self._end()
        elif self._peer_ended and not self._shut:
            self._shut = True
            try:
                self._socket.shutdown(socket.SHUT_WR)
            except OSError:
                self.break_off()

    # The client's side

    def _ready(self, events: int) -> None:
        try:
            if events & WRITE:
                self._push()
            if events & ~WRITE and self._socket.fileno() >= 0:
                self._read(events)
        except Exception:  # a fault of ours costs this connection; the loop tells of it
            self.break_off()
            raise

    def _read(self, events: int) -> None:
        if self._read_end or self._over:
            if events & ERROR:
                self.break_off()
            return
        for _ in range(READS):
            room = self._trunk.room(self._channel)
            if not room:
                self._set(self._events & ~READ)
                return
            try:
                data = self._socket.recv(room)
            except BlockingIOError:
                return
            except OSError:
                self.break_off()
                return
            if not data:
                self._finished()
                return
            self._trunk.send(self._channel, data)
            if len(data) < room:
                return  # there was no more; if there is by now, we are called again

    def _finished(self) -> None:
        """The client will say no more."""
        self._read_end = True
        self._trunk.shutdown(self._channel)
        self._set(self._events & ~READ)
        if self._shut:  # nor will the machine, and the client has it all
            self._end()

    def _set(self, events: int) -> None:
        if events != self._events and self._socket.fileno() >= 0:
            self._events = events
            self._loop.change(self._socket.fileno(), events)

    def _end(self) -> None:
        """Both sides have said all, or the machine has and hears nothing more."""
        if self._leave():
            self._socket.close()

    def _leave(self) -> bool:
        """Give up all but the socket; whether there still was one."""
        fd = self._socket.fileno()
        if fd < 0:
            return False
        self._everybody.discard(self)
        self._loop.unwatch(fd)
        self._waiting.clear()
        self._trunk.close_channel(self._channel)
        return True
