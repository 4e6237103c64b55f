"""UDP from the host through a machine's forwarder: every peer gets a channel of its own.

    peer → bound socket → datagrams, framed (net.link.datagram) → channel → forwarder → server

What the channel does not take for now waits, up to a bound; then datagrams are lost, as datagrams
may be. Sessions end when idle, or when the machine's side closes their channel; when there are too
many, the one idle for longest.
"""

from __future__ import annotations

import socket
from collections import OrderedDict
from contextlib import suppress

from sampan.base.loop import Loop
from sampan.base.poller import READ
from sampan.net.link.datagram import Datagram, Decoder
from sampan.net.link.error import LinkError
from sampan.net.link.multiplex import Destination
from sampan.net.runtime.forward.datagram import IDLE_S, MAX_SESSIONS, READS
from sampan.net.runtime.forward.line import Line
from sampan.net.runtime.forward.trunk import Trunk
from sampan.net.runtime.host.udp import MAX_DATAGRAM

MAX_WAITING = 128 << 10  # bytes of a session that its channel does not take yet
_CHUNK = 1 << 16  # a window: no more is taken at once
_Peer = tuple[object, ...]  # an address as `recvfrom` gives it


class ChannelledForward:
    """A bound UDP socket, which it owns, and its sessions."""

    def __init__(
        self, loop: Loop, line: Line, bound: socket.socket, destination: Destination
    ) -> None:
        self._loop = loop
        self._line = line
        self._socket = bound
        self._destination = destination
        self._sessions: OrderedDict[_Peer, _Session] = OrderedDict()
        loop.watch(bound.fileno(), READ, self._ready)
        self._look_later()

    def close(self) -> None:
        """Listen no more; all sessions end."""
        if self._socket.fileno() < 0:
            return
        self._timer.cancel()
        for peer in tuple(self._sessions):
            self._sessions.pop(peer).close()
        self._loop.unwatch(self._socket.fileno())
        self._socket.close()

    def _ready(self, _: int) -> None:
        for _ in range(READS):
            try:
                data, peer = self._socket.recvfrom(MAX_DATAGRAM)
            except OSError:  # nothing more, or an error that an earlier datagram brought back
                return
            self._session(peer).send(data)
            if self._socket.fileno() < 0:
                return  # closed by what came of it

    def _session(self, peer: _Peer) -> _Session:
        now = self._loop.now()
        session = self._sessions.get(peer)
        if session is not None:
            session.used = now
            self._sessions.move_to_end(peer)
            return session
        if len(self._sessions) >= MAX_SESSIONS:
            self._sessions.popitem(last=False)[1].close()
        session = self._sessions[peer] = _Session(self, peer, now)
        self._line.want(session.begin)
        return session

    def _look_later(self) -> None:
        self._timer = self._loop.call_at(self._loop.now() + IDLE_S, self._look)

    def _look(self) -> None:
        now = self._loop.now()
        for peer, session in tuple(self._sessions.items()):
            if session.used + IDLE_S <= now:
                self._sessions.pop(peer).close()
        self._look_later()

    # What sessions ask for

    def open_channel(self, trunk: Trunk, session: _Session) -> int:
        """A channel of `trunk` for a session.

        Raises:
            LinkError: there can be none.
        """
        return trunk.open(self._destination, session)

    def answer(self, data: bytes, session: _Session) -> None:
        """The machine says this to a session's peer."""
        session.used = self._loop.now()
        with suppress(OSError):  # lost: the peer is gone, or its queue is full
            self._socket.sendto(data, session.peer)

    def forget(self, session: _Session) -> None:
        """A session is over."""
        if self._sessions.get(session.peer) is session:
            del self._sessions[session.peer]


class _Session:
    """One peer's datagrams and their channel; its methods are those of `trunk.End`."""

    def __init__(self, forward: ChannelledForward, peer: _Peer, now: float) -> None:
        self.peer = peer
        self.used = now
        self._forward = forward
        self._trunk: Trunk | None = None
        self._channel = -1
        self._decoder = Decoder()
        self._waiting = bytearray()  # whole datagrams, but for what the first lacks already
        self._closed = False

    def begin(self, trunk: Trunk | None) -> None:
        """There is a session to have a channel of, or none is to be had."""
        if self._closed:
            return
        if trunk is None:
            self._end()
            return
        try:
            self._channel = self._forward.open_channel(trunk, self)
        except LinkError:
            self._end()
            return
        self._trunk = trunk
        self._push()

    def send(self, data: bytes) -> None:
        """The peer says this."""
        if len(self._waiting) + len(data) <= MAX_WAITING:
            self._waiting += Datagram(data).emit()
            self._push()

    def close(self) -> None:
        """Give the channel up."""
        self._closed = True
        self._waiting.clear()
        if self._trunk is not None:
            self._trunk.close_channel(self._channel)
            self._trunk = None

    def received(self, data: bytes) -> None:
        """See `End.received`."""
        assert self._trunk is not None  # there is a channel, for it says something
        self._trunk.consumed(self._channel, len(data))
        try:
            found = self._decoder.received(data)
        except LinkError:
            self._end()
            return
        for each in found:
            self._forward.answer(each.payload, self)

    def writable(self) -> None:
        """See `End.writable`."""
        self._push()

    def finished(self) -> None:
        """See `End.finished`: there will be no answers."""
        self._end()

    def closed(self) -> None:
        """See `End.closed`. What comes next from the peer makes another session."""
        self._trunk = None
        self._end()

    def _end(self) -> None:
        self.close()
        self._forward.forget(self)

    def _push(self) -> None:
        while self._waiting and self._trunk is not None:
            sent = self._trunk.send(self._channel, bytes(self._waiting[:_CHUNK]))
            if not sent:
                return
            del self._waiting[:sent]
