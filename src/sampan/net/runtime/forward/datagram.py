"""UDP from the host to a machine: every peer gets a port of the gateway, as behind a NAT.

A peer's first datagram makes a session; the machine's answers to the session's port go back to
the peer. Sessions end when idle; when there are too many, the one idle for longest.
"""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Callable

from sampan.base.poller import READ
from sampan.net.core.endpoint import Endpoint
from sampan.net.core.event import Refusal
from sampan.net.core.udp import UdpFlow
from sampan.net.runtime.forward.listener import Sources
from sampan.net.runtime.host.udp import MAX_DATAGRAM
from sampan.net.runtime.outbound import HostOutbound

MAX_SESSIONS = 1024
IDLE_S = 180.0
READS = 64
TRIES = 64  # to find a port that is free
_Peer = tuple[object, ...]  # an address as `recvfrom` gives it


class _Session:
    """One peer's datagrams. The machine's flow to our port is led here by `outbound`.

    Only the machine that the forward leads to may answer, from its port: others could guess ours.
    """

    def __init__(
        self, bound: socket.socket, peer: _Peer, ours: Endpoint, guest: Endpoint, now: float
    ) -> None:
        self._socket = bound
        self._peer = peer
        self.ours = ours
        self.guest = guest
        self.used = now

    def datagrams(self, flow: UdpFlow, now: float) -> None:
        """A machine answers."""
        if flow.guest != self.guest:
            flow.refuse(Refusal.REFUSED, now)
            return
        self.used = now
        for datagram in flow.datagrams():
            try:
                self._socket.sendto(datagram, self._peer)
            except OSError:
                continue  # lost: the peer is gone, or its queue is full


class DatagramForward:
    """A bound UDP socket and its sessions. `guest` says where datagrams go; None: nobody there."""

    def __init__(
        self,
        outbound: HostOutbound,
        sources: Sources,
        bound: socket.socket,
        guest: Callable[[], Endpoint | None],
    ) -> None:
        self._outbound = outbound
        self._engine = engine = outbound.engine
        self._sources = sources
        self._socket = bound
        self._guest = guest
        self._sessions: OrderedDict[_Peer, _Session] = OrderedDict()
        engine.loop.watch(bound.fileno(), READ, self._ready)
        self._look_later()

    def _ready(self, _: int) -> None:
        now = self._engine.loop.now()
        guest = self._guest()
        for _ in range(READS):
            try:
                data, peer = self._socket.recvfrom(MAX_DATAGRAM)
            except OSError:  # nothing more, or an error that an earlier datagram brought back
                return
            if guest is not None:
                session = self._session(peer, guest, now)
                if session is not None:
                    self._engine.stack.send_datagram(session.ours, guest, data, now)

    def _session(self, peer: _Peer, guest: Endpoint, now: float) -> _Session | None:
        """The session of a peer; None if there is no port for one."""
        session = self._sessions.get(peer)
        if session is None:
            if len(self._sessions) >= MAX_SESSIONS:
                self._end(next(iter(self._sessions)))
            ours = self._free_port(guest.address)
            if ours is None:
                return None
            session = self._sessions[peer] = _Session(self._socket, peer, ours, guest, now)
            self._outbound.serve_datagrams(ours, session.datagrams)
        session.guest = guest  # another, when the machine of that name is another
        session.used = now
        self._sessions.move_to_end(peer)
        return session

    def _free_port(self, towards: bytes) -> Endpoint | None:
        """A port of ours that no other session has; they come round again."""
        for _ in range(TRIES):
            ours = self._sources.endpoint(towards)
            if not self._outbound.serves_datagrams(ours):
                return ours
        return None

    def _look_later(self) -> None:
        loop = self._engine.loop
        self._timer = loop.call_at(loop.now() + IDLE_S, self._look)

    def _look(self) -> None:
        now = self._engine.loop.now()
        for peer, session in list(self._sessions.items()):
            if session.used + IDLE_S <= now:
                self._end(peer)
        self._look_later()

    def _end(self, peer: _Peer) -> None:
        self._outbound.serve_datagrams(self._sessions.pop(peer).ours, None)

    def close(self) -> None:
        """Listen no more; all sessions end."""
        if self._socket.fileno() < 0:
            return
        self._timer.cancel()
        for peer in list(self._sessions):
            self._end(peer)
        self._engine.loop.unwatch(self._socket.fileno())
        self._socket.close()
