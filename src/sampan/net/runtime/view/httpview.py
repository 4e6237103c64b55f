"""The HTTP that passes in clear text, as records; of TLS, the names of servers.

`watch` gives a tap for a flow, which the channel to the host shows the flow's bytes. Taps cost
some time for each batch of bytes, so a network has a view only when somebody wants to see.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import msgspec

from sampan.base import log
from sampan.net.core import event
from sampan.net.core.endpoint import Endpoint
from sampan.net.core.event import Reason
from sampan.net.core.flow import Flow
from sampan.net.runtime.engine import Engine
from sampan.net.runtime.view.eventlog import EventLog
from sampan.net.runtime.view.harfile import HarFile, HarFileError
from sampan.net.services.httpdetect import Language
from sampan.net.services.httphead import hide_secrets
from sampan.net.services.httpview import Exchange, Follower
from sampan.net.wire.address import format_ip
from sampan.net.wire.checksum import Buffer

MAX_FLOWS = 512  # followed at once; others pass unseen, and are counted
MAX_KEPT = 1000
_HTTP = 80
_log = log.get(__name__)


class HttpRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An exchange and where it was. `flow` is the number of its flow.

    The machine is the client, or, in a forward, the server.
    """

    flow: int
    machine: str
    client: str
    server: str
    server_port: int
    exchange: Exchange


class NameRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A TLS connection to a server of this name."""

    flow: int
    machine: str
    client: str
    server: str
    server_port: int
    name: str


class HttpTap:
    """The tap of one flow: see `host.tcp.Tap`. In a forward the machine is the server."""

    __slots__ = ("_flow", "_from_host", "_from_machine", "_view", "follower")

    def __init__(self, view: HttpView, flow: Flow, follower: Follower) -> None:
        self._view = view
        self._flow = flow
        self.follower = follower
        ways = follower.sent, follower.received
        self._from_machine, self._from_host = ways[::-1] if flow.is_active else ways

    def sent(self, data: Buffer, now: float) -> None:
        """See `Tap.sent`."""
        if self.follower.is_following:
            self._from_machine(data, now)
            self._tell()

    def received(self, data: Buffer, now: float) -> None:
        """See `Tap.received`."""
        if self.follower.is_following:
            self._from_host(data, now)
            self._tell()

    def ended(self, reason: Reason | None, now: float) -> None:
        """See `Tap.ended`."""
        if reason is None:
            self.follower.received_end(now)
        self.follower.ended(reason.value if reason else "", now)
        self._tell()
        self._view.over(self._flow)

    def _tell(self) -> None:
        follower = self.follower
        if follower.exchanges:
            self._view.seen(self._flow, follower.exchanges)
            follower.exchanges.clear()
        if not follower.is_following:
            if follower.server_name:
                self._view.named(self._flow, follower.server_name)
                follower.server_name = ""
            elif follower.language is Language.HTTP1 and follower.gave_up:
                _log.debug("%s is not followed any more: %s", self._flow.remote, follower.gave_up)


class HttpView:
    """What is seen of an engine's flows.

    Args:
        engine: whose flows.
        number: the number of a flow, as `FlowTable.number` gives it.
        events: where exchanges are noted, if anywhere.
    """

    def __init__(
        self, engine: Engine, number: Callable[[Flow], int], events: EventLog | None = None
    ) -> None:
        self.unseen = 0  # flows beyond `MAX_FLOWS`
        self.records: deque[HttpRecord] = deque(maxlen=MAX_KEPT)
        self.har: HarFile | None = None
        self._engine = engine
        self._number = number
        self._events = events
        self._taps: dict[int, HttpTap] = {}
        self._followers: list[Callable[[HttpRecord], None]] = []
        engine.observe(event.FlowEstablished, self._established)

    def watch(self, flow: Flow) -> HttpTap | None:
        """A tap for a flow; None if too many are being watched."""
        if len(self._taps) >= MAX_FLOWS:
            self.unseen += 1
            return None
        _, server = _ends(flow)
        host = str(server) if server.port != _HTTP else _bracketed(server.address)
        tap = HttpTap(self, flow, Follower(host, self._engine.loop.now()))
        self._taps[id(flow)] = tap
        return tap

    def follow(self, follower: Callable[[HttpRecord], None]) -> Callable[[], None]:
        """Call `follower` with each exchange; call what is returned to end it."""
        self._followers.append(follower)
        return lambda: self._followers.remove(follower) if follower in self._followers else None

    def seen(self, flow: Flow, exchanges: list[Exchange]) -> None:
        """A tap saw these."""
        client, server = _ends(flow)
        for each in exchanges:
            record = HttpRecord(
                flow=self._number(flow),
                machine=format_ip(flow.guest.address),
                client=format_ip(client.address),
                server=format_ip(server.address),
                server_port=server.port,
                exchange=each,
            )
            self.records.append(record)
            self._write(record)
            if self._events is not None:
                self._events.append("http.exchange", _without_secrets(record))
            for follower in tuple(self._followers):
                follower(record)

    def named(self, flow: Flow, name: str) -> None:
        """A tap saw a TLS client ask for a server of this name."""
        if self._events is not None:
            client, server = _ends(flow)
            record = NameRecord(
                flow=self._number(flow),
                machine=format_ip(flow.guest.address),
                client=format_ip(client.address),
                server=format_ip(server.address),
                server_port=server.port,
                name=name,
            )
            self._events.append("tls.name", record)

    def over(self, flow: Flow) -> None:
        """A flow has ended."""
        self._taps.pop(id(flow), None)

    def close(self) -> None:
        """End the archive, if there is one."""
        if self.har is not None:
            self.har.close()
            self.har = None

    def _established(self, each: event.FlowEstablished, now: float) -> None:
        tap = self._taps.get(id(each.flow))
        if tap is not None:
            tap.follower.connected(now)

    def _write(self, record: HttpRecord) -> None:
        if self.har is None:
            return
        try:
            self.har.add(record.exchange, server=record.server, connection=str(record.flow))
        except HarFileError as error:
            _log.error("%s; what comes from here on is not in it", error)
            self.har = None


def _without_secrets(record: HttpRecord) -> HttpRecord:
    """For events, which are read by whoever looks what happens."""
    seen = record.exchange
    hidden = msgspec.structs.replace(
        seen,
        request_fields=hide_secrets(seen.request_fields),
        response_fields=hide_secrets(seen.response_fields),
    )
    return msgspec.structs.replace(record, exchange=hidden)


def _ends(flow: Flow) -> tuple[Endpoint, Endpoint]:
    """The client's and the server's."""
    return (flow.remote, flow.guest) if flow.is_active else (flow.guest, flow.remote)


def _bracketed(address: bytes) -> str:
    text = format_ip(address)
    return f"[{text}]" if ":" in text else text
