"""The flows there are, as frozen records, and the last of those that are over.

An observer of the engine: it is told of flows as they begin and end. A record is made in full once,
as a flow begins; what changes (state, bytes, the policy's verdict, where the flow leads, who began
it) is read when somebody asks, and put into a copy of that one.

Pings have no flow in the stack; one machine pinging one address counts as one here.
"""

from __future__ import annotations

import socket
from collections import OrderedDict, deque
from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache

import msgspec

from sampan.net.core import event
from sampan.net.core.flow import Flow
from sampan.net.core.udp import UdpFlow
from sampan.net.runtime.engine import Engine
from sampan.net.runtime.view import hostend
from sampan.net.runtime.view.eventlog import EventLog

MAX_PINGS = 1024
MAX_OVER = 256
PING_IDLE_S = 60.0


class Kind(StrEnum):
    """What a flow is."""

    TCP = "tcp"
    UDP = "udp"
    ICMP = "icmp"
    FORWARD = "forward"  # TCP that somebody on the host's side began


class FlowRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A flow as it was at one moment.

    `machine` is the address of its end inside, `peer` that of the other; `names` those by which
    the machine had learnt the peer's address when the flow began. `sent` and `received` are the machine's payload bytes.
    `host` is where it leads on the host's side, if that differs from the peer, and for a forward
    who began it: `forward.owner.of_client` knows the process, and `pid` is it for Unix sockets.
    `verdict` names the rule or hook that decided. `opened_s`
    counts from 1970.
    """

    id: int
    kind: Kind
    link: str
    machine: str
    machine_port: int = 0
    machine_name: str = ""
    peer: str
    peer_port: int = 0
    names: tuple[str, ...] = ()
    host: str = ""
    pid: int = 0
    verdict: str = ""
    state: str = ""
    reason: str = ""
    sent: int = 0
    received: int = 0
    opened_s: float
    age_s: float = 0.0
    idle_s: float = 0.0


class _Row:
    """A flow that is there, and the record of it as it began, in the loop's time `opened`."""

    __slots__ = ("count", "first", "flow", "opened", "used", "verdict")

    def __init__(
        self, first: FlowRecord, flow: Flow | UdpFlow | event.EchoRequested, opened: float
    ) -> None:
        self.first, self.flow = first, flow
        self.opened = self.used = opened
        self.count = 0  # of bytes, for pings
        self.verdict = ""


class FlowTable:
    """The flows of an engine.

    Args:
        engine: whose flows.
        wall: gives the seconds since 1970.
        names: the names by which a machine knows an address.
        machine_name: what the machine of an address is called, or "".
        events: where beginnings and ends are noted.
    """

    def __init__(
        self,
        engine: Engine,
        wall: Callable[[], float],
        *,
        names: Callable[[bytes, bytes], tuple[str, ...]] = lambda machine, address: (),
        machine_name: Callable[[bytes], str] = lambda address: "",
        events: EventLog | None = None,
    ) -> None:
        self._engine = engine
        self._wall = wall
        self._names, self._machine_name = names, machine_name
        self._events = events
        self._number = 0
        self._rows: dict[int, _Row] = {}  # by the identity of flows, which the rows keep alive
        self._pings: OrderedDict[tuple[bytes, bytes], _Row] = OrderedDict()
        self._over: deque[FlowRecord] = deque(maxlen=MAX_OVER)
        self._sweep_at = MAX_OVER
        engine.observe(event.FlowOpened, self._opened)
        engine.observe(event.FlowEstablished, self._opened)
        engine.observe(event.FlowClosed, self._closed)
        engine.observe(event.FlowReset, self._reset)
        engine.observe(event.DatagramsReceived, self._datagrams)
        engine.observe(event.UdpFlowClosed, self._udp_closed)
        engine.observe(event.EchoRequested, self._echo)

    # What others ask and say

    def records(self) -> list[FlowRecord]:
        """The flows there are, oldest first."""
        now = self._engine.loop.now()
        self._sweep(now)
        rows = sorted((*self._rows.values(), *self._pings.values()), key=lambda row: row.first.id)
        return [self._record(row, now) for row in rows]

    def over(self) -> list[FlowRecord]:
        """The last that ended, oldest first."""
        return list(self._over)

    def record(self, flow: Flow | UdpFlow) -> FlowRecord | None:
        """One flow; None if it is not there."""
        row = self._rows.get(id(flow))
        return None if row is None else self._record(row, self._engine.loop.now())

    def number(self, flow: Flow | UdpFlow) -> int:
        """What tells a flow from others; 0 if it is not there."""
        row = self._rows.get(id(flow))
        return 0 if row is None else row.first.id

    def refused(self, flow: Flow | UdpFlow, verdict: str) -> None:
        """A flow may not be, as this rule or hook says; for the record."""
        now = self._engine.loop.now()
        self._begin(flow, now)
        if (row := self._rows.get(id(flow))) is not None:
            row.verdict = verdict
        self._end(flow, "refused", now, kind="flow.refused")

    # What the engine says

    def _opened(self, each: event.FlowOpened | event.FlowEstablished, now: float) -> None:
        self._begin(each.flow, now)

    def _datagrams(self, each: event.DatagramsReceived, now: float) -> None:
        if id(each.flow) not in self._rows:
            self._begin(each.flow, now)

    def _closed(self, each: event.FlowClosed, now: float) -> None:
        self._end(each.flow, "", now)

    def _reset(self, each: event.FlowReset, now: float) -> None:
        self._end(each.flow, each.reason.value, now)

    def _udp_closed(self, each: event.UdpFlowClosed, now: float) -> None:
        self._end(each.flow, "", now)

    def _echo(self, each: event.EchoRequested, now: float) -> None:
        key = (each.source, each.destination)
        row = self._pings.get(key)
        if row is None:
            row = self._pings[key] = _Row(self._first(each), each, now)
            if len(self._pings) > MAX_PINGS:
                self._pings.popitem(last=False)
        row.used = now
        row.count += len(each.payload)
        self._pings.move_to_end(key)

    def _begin(self, flow: Flow | UdpFlow, now: float) -> None:
        if id(flow) in self._rows:
            return
        first = self._first(flow)
        self._rows[id(flow)] = _Row(first, flow, now)
        if len(self._rows) >= self._sweep_at:
            self._sweep(now)
            self._sweep_at = 2 * len(self._rows) + MAX_OVER
        self._note("flow.opened", first)

    def _end(
        self, flow: Flow | UdpFlow, reason: str, now: float, kind: str = "flow.closed"
    ) -> None:
        row = self._rows.pop(id(flow), None)
        if row is not None:
            record = self._record(row, now, reason)
            self._over.append(record)
            self._note(kind, record)

    def _note(self, kind: str, record: FlowRecord) -> None:
        if self._events is not None:
            self._events.append(kind, record)

    def _sweep(self, now: float) -> None:
        """Some ends are not told: refused flows, those that we reset, pings."""
        flows = [each.flow for each in self._rows.values()]
        for flow in flows:
            if not isinstance(flow, event.EchoRequested) and _is_over(flow):
                self._end(flow, "refused or reset", now)
        while self._pings:
            key, row = next(iter(self._pings.items()))
            if row.used + PING_IDLE_S > now:
                return
            del self._pings[key]

    def _first(self, flow: Flow | UdpFlow | event.EchoRequested) -> FlowRecord:
        """The record of a flow as it begins."""
        self._number += 1
        sent = received = 0
        if isinstance(flow, event.EchoRequested):
            kind, state = Kind.ICMP, "echo"
            machine, machine_port, peer, peer_port = flow.source, 0, flow.destination, 0
        else:
            kind, state = _kind_and_state(flow)
            (machine, machine_port), (peer, peer_port) = flow.guest, flow.remote
            sent, received = flow.received, flow.delivered
        plug = self._engine.plugs.get(flow.port)
        host, pid = _host_end(kind, flow)
        return FlowRecord(
            id=self._number,
            kind=kind,
            link=plug.name if plug is not None else "",
            machine=_text(machine),
            machine_port=machine_port,
            machine_name=self._machine_name(machine),
            peer=_text(peer),
            peer_port=peer_port,
            names=self._names(machine, peer),
            host=host,
            pid=pid,
            state=state,
            sent=sent,
            received=received,
            opened_s=self._wall(),
        )

    def _record(self, row: _Row, now: float, reason: str | None = None) -> FlowRecord:
        """`reason`, if not None, is why the flow is over."""
        flow, first = row.flow, row.first
        if isinstance(flow, event.EchoRequested):
            state, sent, received, used = "echo", row.count, 0, row.used
        else:
            sent, received = flow.received, flow.delivered
            used = flow.heard if isinstance(flow, Flow) else flow.used
            state = "over" if reason is not None else _kind_and_state(flow)[1]
        host, pid = _host_end(first.kind, flow)
        return msgspec.structs.replace(
            first,
            host=host,
            pid=pid,
            verdict=row.verdict,
            state=state,
            reason=reason or "",
            sent=sent,
            received=received,
            age_s=max(0.0, now - row.opened),
            idle_s=max(0.0, now - used),
        )


def _kind_and_state(flow: Flow | UdpFlow) -> tuple[Kind, str]:
    if isinstance(flow, Flow):
        return Kind.FORWARD if flow.is_active else Kind.TCP, flow.state.value
    return Kind.UDP, "answered" if flow.is_answered else "asked"


def _host_end(kind: Kind, flow: Flow | UdpFlow | event.EchoRequested) -> tuple[str, int]:
    """The host's end of a flow that somebody there began, or that leads elsewhere than it says.

    And the process that is there.
    """
    if isinstance(flow, event.EchoRequested) or flow.context is None:
        return "", 0
    address, port = flow.remote
    found, pid = hostend.address(flow.context), hostend.peer_pid(flow.context)
    if found and kind is not Kind.FORWARD:
        shown = _text(address)
        if found == (f"[{shown}]:{port}" if ":" in shown else f"{shown}:{port}"):
            found = ""
    return found, pid


@lru_cache(maxsize=1024)
def _text(address: bytes) -> str:
    """As `wire.address.format_ip`, which takes ten times as long: this is done for every flow."""
    return socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address)


def _is_over(flow: Flow | UdpFlow) -> bool:
    if isinstance(flow, Flow):
        return not flow.is_alive
    return flow.flows.table.get(flow.key) is not flow
