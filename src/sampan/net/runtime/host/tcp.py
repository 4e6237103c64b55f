"""A TCP flow and a socket of the host, joined.

Nothing is kept here. What the machine sends goes to the socket straight from the frame; what
the socket does not take stays in the flow, which closes its window. What the host sends is
read, no more than the machine has room for, into the buffer that the frame is made of; the
rest stays in the host's kernel.

    machine → host    readable() → sendmsg(flow.data()) → consumed
    host → machine    socket ready → recv_into(spare) → flow.send
    ends              FIN ⇄ shutdown, RST ⇄ SO_LINGER 0, an error on either side resets the other

A flow may end well before the host has taken all of it (the machine has our FIN, we have its
own): then the rest follows, for as long as `LINGER_S`.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from contextlib import suppress
from typing import Protocol

from sampan.base.loop import Loop
from sampan.base.poller import ERROR, READ, WRITE
from sampan.net.core.event import Reason
from sampan.net.core.flow import Flow
from sampan.net.core.stack import Stack
from sampan.net.runtime.host import descriptor, failure
from sampan.net.wire.checksum import Buffer

READS = 8  # of 64 KiB, before other flows have their turn
LINGER_S = 30.0  # for a host that has not taken everything when the machine is done
_LINGER_RESET = struct.pack("ii", 1, 0)


class Tap(Protocol):
    """Sees the bytes of one connection pass. Views are valid for the call only."""

    def sent(self, data: Buffer, now: float) -> None:
        """The machine said this to the host."""

    def received(self, data: Buffer, now: float) -> None:
        """The host said this to the machine."""

    def ended(self, reason: Reason | None, now: float) -> None:
        """The connection is over."""


class HostTcp:
    """The channel of a flow that leads to a socket of the host. Owns the socket."""

    __slots__ = (
        "_connecting", "_events", "_fd", "_flow", "_loop", "_over", "_read_end", "_shut", "_socket",
        "_stack", "tap",
    )  # fmt: skip

    def __init__(
        self,
        loop: Loop,
        stack: Stack,
        flow: Flow,
        connection: socket.socket,
        tap: Tap | None = None,
    ) -> None:
        self._loop = loop
        self._stack = stack
        self._flow = flow
        self._socket = connection
        self._fd = connection.fileno()
        self._events = 0
        self._connecting = self._read_end = self._shut = False
        self._over = False  # of the flow: only what is pending is still to be sent
        self.tap = tap
        flow.context = self

    @property
    def socket(self) -> socket.socket:
        """The host's end."""
        return self._socket

    def begin(self, now: float) -> None:
        """The host's side is connected already: go on with the machine's."""
        self._loop.watch(self._fd, 0, self._ready)
        if not self._flow.is_active:
            self._flow.accept(now)

    def begin_connecting(self) -> None:
        """The host's side is being connected: see how that ends first."""
        self._connecting = True
        self._events = WRITE
        self._loop.watch(self._fd, WRITE, self._ready)

    def _connected(self, events: int, now: float) -> None:
        number = 0
        if events & ~WRITE:
            number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._connecting = False
        if number:
            self._flow.refuse(failure.refusal_of(number), now)
            self._flow.context = None
            self._close(None, now)
        else:
            self._set(READ)  # the machine will have its SYN-ACK before the host says anything
            self._flow.accept(now)

    # The flow's side

    def established(self, now: float) -> None:
        """See `Channel.established`. Who connected to a machine has mostly said something."""
        self._set(READ)
        if self._flow.is_active:
            self._read(READ, now)

    def readable(self, now: float) -> None:
        """See `Channel.readable`."""
        flow = self._flow
        while flow.pending:
            buffers = flow.data()
            try:
                size = self._socket.sendmsg(buffers)
            except BlockingIOError:
                size = 0
            except OSError:
                self._fail(now)
                return
            if self.tap is not None and size:
                self._show(buffers, size, now)
            flow.consumed(size)
            if flow.pending and size < sum(map(len, buffers)):
                self._set(self._events | WRITE)
                return
        if self._events & WRITE:
            self._set(self._events & ~WRITE)
        if self._over:
            self._close(None, now)
        elif flow.is_finished:
            self._shut_down(now)

    def _show(self, buffers: list[Buffer], size: int, now: float) -> None:
        assert self.tap is not None
        for buffer in buffers:
            self.tap.sent(memoryview(buffer)[:size], now)
            size -= min(size, len(buffer))
            if not size:
                return

    def writable(self, now: float) -> None:
        """See `Channel.writable`."""
        if not self._read_end:
            self._set(self._events | READ)

    def finished(self, now: float) -> None:
        """See `Channel.finished`."""
        self.readable(now)

    def _shut_down(self, now: float) -> None:
        if self._shut:
            return
        self._shut = True
        if self._read_end:  # neither side has more to say
            self._close(None, now)
            return
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._fail(now)

    def gone(self, reason: Reason | None, now: float) -> None:
        """See `Channel.gone`. After a proper end, the host still gets what is pending."""
        if reason is None and self._flow.pending:
            self._over = True
            self._loop.call_at(now + LINGER_S, self._linger_no_more)
            self.readable(now)
        else:
            self._close(reason, now)

    def _linger_no_more(self) -> None:
        self._close(Reason.IDLE, self._loop.now())

    # The socket's side

    def _ready(self, events: int) -> None:
        now = self._loop.now()
        try:
            if self._connecting:
                self._connected(events, now)
                return
            if events & WRITE:
                self.readable(now)
            if events & ~WRITE and self._fd >= 0:
                self._read(events, now)
        except Exception:  # a fault of ours costs this flow; the loop tells of it
            self._fail(now)
            raise

    def _read(self, events: int, now: float) -> None:
        flow, spare = self._flow, self._stack.spare
        if self._read_end:
            if events & ERROR:
                self._fail(now)
            return
        for _ in range(READS):
            room = flow.room()
            if not room:
                self._set(self._events & ~READ)
                return
            buffer = spare()
            if buffer is None:
                return
            try:
                size = self._socket.recv_into(buffer.payload, room)
            except BlockingIOError:
                return
            except OSError:
                self._fail(now)
                return
            if not size:
                self._finished(now)
                return
            if self.tap is not None:
                self.tap.received(buffer.payload[:size], now)
            flow.send(buffer, size, now)
            if size < room:
                return  # there was no more; if there is by now, we are called again

    def _finished(self, now: float) -> None:
        """The host will say no more."""
        self._read_end = True
        self._flow.finish(now)
        if self._shut:  # nor will the machine
            self._close(None, now)
        else:
            self._set(self._events & ~READ)

    def _set(self, events: int) -> None:
        if events != self._events and self._fd >= 0:
            self._events = events
            self._loop.change(self._fd, events)

    def _fail(self, now: float) -> None:
        """The host's connection broke: so does the machine's."""
        self._flow.abort(now)
        self._flow.context = None
        self._close(Reason.GONE, now)

    def _close(self, reason: Reason | None, now: float) -> None:
        if self._fd < 0:
            return
        self._loop.unwatch(self._fd)
        self._fd = -1
        if reason is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
        self._socket.close()
        if self._flow.pending:  # of a flow that was over: nobody else gives it up
            self._flow.consumed(self._flow.pending)
        if self.tap is not None:
            self.tap.ended(reason, now)


def connect(
    loop: Loop,
    stack: Stack,
    flow: Flow,
    family: int,
    address: tuple[str, int] | str,
    tap: Tap | None = None,
    *,
    instead: tuple[int, tuple[str, int]] | None = None,
) -> None:
    """Lead a machine's flow to an address of the host's side; refuse it if there is no way.

    `instead` is a family and an address to lead it to if nobody listens at the first; only what
    is known at once counts, as it is on the loopback interface.

    Raises:
        OSError: there is no socket to be had.
    """
    try:
        connection, number = _attempt(family, address)
    except OSError:
        if tap is not None:
            tap.ended(Reason.REFUSED, loop.now())
        raise
    if number == errno.ECONNREFUSED and instead is not None:
        with suppress(OSError):  # a host without that family
            other = _attempt(*instead)
            connection.close()
            connection, number = other
    if number == 0:
        HostTcp(loop, stack, flow, connection, tap).begin(loop.now())
    elif number == errno.EINPROGRESS:
        HostTcp(loop, stack, flow, connection, tap).begin_connecting()
    else:  # with EAGAIN too: a Unix socket whose queue is full does not call back
        connection.close()
        flow.refuse(failure.refusal_of(number), loop.now())
        if tap is not None:
            tap.ended(Reason.REFUSED, loop.now())


def _attempt(family: int, address: tuple[str, int] | str) -> tuple[socket.socket, int]:
    """A socket that is being connected, and the errno of that: 0 if it is done.

    Raises:
        OSError: there is none to be had.
    """
    connection = _socket(family)
    connection.setblocking(False)
    return connection, _begin(connection, family, address)


def _socket(family: int) -> socket.socket:
    """A new socket, unless it took one of the last descriptors.

    Raises:
        OSError: there is none to be had.
    """
    made = socket.socket(family, socket.SOCK_STREAM)
    if made.fileno() >= descriptor.share(1) - descriptor.RESERVED:
        made.close()
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    return made


def _begin(connection: socket.socket, family: int, address: tuple[str, int] | str) -> int:
    """The errno of connecting, 0 if it is done."""
    try:
        if family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        number = connection.connect_ex(address)
        if number == errno.EINPROGRESS:
            # On the loopback interface it is over by now, and asking saves a turn of the loop.
            number = connection.connect_ex(address)
        return errno.EINPROGRESS if number == errno.EALREADY else number
    except OSError as error:  # an address that is none: connect_ex raises for names too long
        return error.errno or errno.EINVAL
