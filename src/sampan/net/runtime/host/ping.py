"""Pings of machines to whom is outside, by the host's own.

Linux has sockets for this that need no privilege (2.6.39, icmp(7)); who may make them is said by
net.ipv4.ping_group_range. Where that does not include us, a raw socket does the same for root.
Without either, machines are told that pings are prohibited.

One socket for each machine, identifier and destination. The kernel puts its own identifier into
the echo, and back; in a raw socket's echo it is a random one of ours, by which its answers are
told from other programs'.
"""

from __future__ import annotations

import secrets
import socket
import struct
from collections import OrderedDict

from sampan.base import log
from sampan.base.loop import Timer
from sampan.base.poller import READ
from sampan.net.core.event import EchoRequested, Refusal
from sampan.net.runtime.engine import Engine
from sampan.net.runtime.host import failure
from sampan.net.runtime.host.route import Target
from sampan.net.wire.checksum import checksum

MAX_SOCKETS = 256
IDLE_S = 30.0
READS = 16
_ECHO = struct.Struct("!BBHHH")
_ASK4, _ASK6, _REPLY4, _REPLY6 = 8, 128, 0, 129
_Key = tuple[bytes, int, bytes]
_log = log.get(__name__)


class Pinger:
    """Sends pings on, and answers back."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pings: OrderedDict[_Key, _Ping] = OrderedDict()
        self._timer: Timer | None = None

    def ping(self, request: EchoRequested, target: Target, now: float) -> None:
        """Ping `target` for a machine; it is told of the answer, or that there is no way."""
        key = request.source, request.identifier, request.destination
        try:
            ping = self._pings.get(key) or self._begin(key, target)
            self._pings.move_to_end(key)
            ping.send(request, now)
        except PermissionError:
            _log.info("pings are not allowed here: see net.ipv4.ping_group_range")
            self._engine.stack.send_error(request, Refusal.PROHIBITED, now)
        except OSError as error:
            self._engine.stack.send_error(request, failure.refusal(error), now)

    def _begin(self, key: _Key, target: Target) -> _Ping:
        if len(self._pings) >= MAX_SOCKETS:
            self._end(next(iter(self._pings)))
        ping = self._pings[key] = _Ping(self._engine, target)
        if self._timer is None:
            self._look_later()
        return ping

    def _look_later(self) -> None:
        loop = self._engine.loop
        self._timer = loop.call_at(loop.now() + IDLE_S, self._look)

    def _look(self) -> None:
        """End what was not used since the time before last."""
        self._timer = None
        idle_since = self._engine.loop.now() - IDLE_S
        while self._pings and next(iter(self._pings.values())).used <= idle_since:
            self._end(next(iter(self._pings)))
        if self._pings:
            self._look_later()

    def _end(self, key: _Key) -> None:
        self._pings.pop(key).close()

    def close(self) -> None:
        """Give all sockets back."""
        for key in list(self._pings):
            self._end(key)
        if self._timer is not None:
            self._timer.cancel()


class _Ping:
    """The pings of one program on one machine to one destination."""

    def __init__(self, engine: Engine, target: Target) -> None:
        self._engine = engine
        six = target.family == socket.AF_INET6
        self._ask, self._reply = (_ASK6, _REPLY6) if six else (_ASK4, _REPLY4)
        self._request: EchoRequested | None = None
        self._identifier = 0  # the kernel's, unless the socket is raw
        self.used = 0.0
        self._socket = self._open(target.family)
        self._socket.setblocking(False)
        self._has_header = bool(self._identifier) and not six  # raw sockets of IPv4 show it
        try:
            self._socket.connect((target.address, 0))
        except OSError:
            self._socket.close()
            raise
        engine.loop.watch(self._socket.fileno(), READ, self._ready)

    def _open(self, family: int) -> socket.socket:
        protocol = socket.IPPROTO_ICMPV6 if family == socket.AF_INET6 else socket.IPPROTO_ICMP
        try:
            return socket.socket(family, socket.SOCK_DGRAM, protocol)
        except PermissionError:
            self._identifier = 1 + secrets.randbelow(0xFFFF)
            return socket.socket(family, socket.SOCK_RAW, protocol)

    def send(self, request: EchoRequested, now: float) -> None:
        self._request, self.used = request, now
        number = request.sequence
        total = checksum(_ECHO.pack(self._ask, 0, 0, self._identifier, number), request.payload)
        header = _ECHO.pack(self._ask, 0, total, self._identifier, number)
        try:
            self._socket.send(header + request.payload)
        except BlockingIOError:
            return  # lost, as pings are

    def _ready(self, _: int) -> None:
        request, now = self._request, self._engine.loop.now()
        assert request is not None
        for _ in range(READS):
            try:
                data = self._socket.recv(65535)
            except BlockingIOError:
                return
            except OSError as error:
                self._engine.stack.send_error(request, failure.refusal(error), now)
                return
            if self._has_header:
                data = data[(data[0] & 15) * 4 :]
            if len(data) < _ECHO.size or data[0] != self._reply:
                continue
            _, _, _, identifier, sequence = _ECHO.unpack_from(data)
            if not self._identifier or identifier == self._identifier:
                answered = _numbered(request, sequence)
                self._engine.stack.send_echo_reply(answered, data[_ECHO.size :], now)

    def close(self) -> None:
        self._engine.loop.unwatch(self._socket.fileno())
        self._socket.close()


def _numbered(request: EchoRequested, sequence: int) -> EchoRequested:
    """The one of the same program that had this number."""
    return EchoRequested(
        request.port, request.source, request.destination, request.identifier, sequence,
        request.payload, request.hop_limit, request.quote,
    )  # fmt: skip
