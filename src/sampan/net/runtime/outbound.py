"""Where machines' flows lead: the network's own services, or sockets of the host.

In this order: a service at that address; the gate (policy and hooks), which may refuse; a
`Detour` (the host's proxy), which may take the flow elsewhere; the host's side by `host.route`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from sampan.net.core import event
from sampan.net.core.endpoint import Endpoint
from sampan.net.core.event import Refusal
from sampan.net.core.flow import Flow
from sampan.net.core.port import Port
from sampan.net.core.udp import UdpFlow
from sampan.net.runtime.channel import Conversation, Talk
from sampan.net.runtime.engine import Engine
from sampan.net.runtime.host import tcp, udp
from sampan.net.runtime.host.ping import Pinger
from sampan.net.runtime.host.route import Router, Target, other_loopback
from sampan.net.services.gateway import Protocol

MAX_TALKS = 128  # with services, of one link
REFUSED_S = 1.0  # for which gates are not asked again about a UDP flow

Begin: TypeAlias = Callable[[Conversation], Talk]
Take: TypeAlias = Callable[[UdpFlow, float], None]
FlowGate: TypeAlias = Callable[[Flow], Refusal | None]
UdpGate: TypeAlias = Callable[[UdpFlow], Refusal | None]
EchoGate: TypeAlias = Callable[[event.EchoRequested], Refusal | None]
Detour: TypeAlias = Callable[[Flow, Target, float], bool]


class _Refused(NamedTuple):
    """What a gate said of a UDP flow, whose machine goes on sending: see `REFUSED_S`."""

    refusal: Refusal
    until: float
    rules: int  # `HostOutbound._rules` as the gate was asked


@dataclass
class Gates:
    """Who may say no; None lets pass. And who may take a TCP flow elsewhere (True: taken)."""

    flow: list[FlowGate] = field(default_factory=list)
    udp: list[UdpGate] = field(default_factory=list)
    echo: list[EchoGate] = field(default_factory=list)
    detour: list[Detour] = field(default_factory=list)


class HostOutbound:
    """`engine.Outbound` by sockets of the host."""

    def __init__(self, engine: Engine, router: Router) -> None:
        self.engine = engine
        self.router = router
        self.gates = Gates()
        self._rules = 0  # counts the changes of what gates say
        self.watch_flow: Callable[[Flow], tcp.Tap | None] = _unwatched
        self._talks: dict[Endpoint, Begin] = {}
        self._led: dict[tuple[Endpoint, Protocol], tuple[Target, int]] = {}
        self._talking: Counter[Port] = Counter()
        self._takers: dict[Endpoint, Take] = {}
        self._udp = udp.UdpSockets(engine.loop)
        self._pinger = Pinger(engine)

    def serve(self, address: Endpoint, begin: Begin) -> None:
        """Answer machines' connections to `address` in this process."""
        self._talks[address] = begin

    def lead(self, address: Endpoint, protocol: Protocol, target: Target, port: int) -> None:
        """Lead what machines say to `address`, which is one of ours, to a port of the host's side."""
        self._led[address, protocol] = target, port

    def serve_datagrams(self, address: Endpoint, take: Take | None) -> None:
        """Hand machines' UDP flows to `address` to `take`; None: no more."""
        if take is None:
            self._takers.pop(address, None)
        else:
            self._takers[address] = take

    def serves_datagrams(self, address: Endpoint) -> bool:
        """Whether datagrams to `address` are somebody's."""
        return address in self._takers

    def rules_changed(self) -> None:
        """Gates say something else from now on: ask them about datagrams they refused, too."""
        self._rules += 1

    def flow_opened(self, flow: Flow, now: float) -> None:
        """See `engine.Outbound`."""
        begin = self._talks.get(flow.remote)
        if begin is not None:
            self._talk(flow, begin, now)
            return
        for gate in self.gates.flow:
            if (refusal := gate(flow)) is not None:
                flow.refuse(refusal, now)
                return
        target = self.router.target(flow.remote.address)
        if target is None:
            led = self._led.get((flow.remote, Protocol.TCP))
            if led is None:
                flow.refuse(Refusal.REFUSED, now)
            else:
                self.connect(flow, *led, now)
            return
        for detour in self.gates.detour:
            if detour(flow, target, now):
                return
        self.connect(flow, target, flow.remote.port, now)

    def _talk(self, flow: Flow, begin: Begin, now: float) -> None:
        """Lead a flow to a service, within its link's share of them."""
        port = flow.port
        if self._talking[port] >= MAX_TALKS:
            flow.refuse(Refusal.REFUSED, now)
            return

        def over() -> None:
            self._talking[port] -= 1
            if not self._talking[port]:
                del self._talking[port]

        Conversation(self.engine.loop, self.engine.stack, flow, begin, over)
        self._talking[port] += 1

    def connect(self, flow: Flow, target: Target, port: int, now: float) -> None:
        """Lead a flow to a host's side address."""
        other = other_loopback(target)
        try:
            tcp.connect(
                self.engine.loop, self.engine.stack, flow, target.family, (target.address, port),
                self.watch_flow(flow),
                instead=None if other is None else (other.family, (other.address, port)),
            )  # fmt: skip
        except OSError:  # no descriptor to be had
            flow.refuse(Refusal.HOST_UNREACHABLE, now)

    def datagrams_received(self, flow: UdpFlow, now: float) -> None:
        """See `engine.Outbound`."""
        take = self._takers.get(flow.remote) if self._takers else None
        if take is not None:
            take(flow, now)
            return
        context = flow.context
        if isinstance(context, _Refused) and now < context.until and context.rules == self._rules:
            flow.refuse(context.refusal, now)
            return
        if context is None or isinstance(context, _Refused):
            context = self._begin_udp(flow, now)
        if isinstance(context, udp.HostUdp):
            context.send(now)

    def _begin_udp(self, flow: UdpFlow, now: float) -> udp.HostUdp | None:
        for gate in self.gates.udp:
            if (refusal := gate(flow)) is not None:
                flow.refuse(refusal, now)
                flow.context = _Refused(refusal, now + REFUSED_S, self._rules)
                return None
        target, port = self.router.target(flow.remote.address), flow.remote.port
        if target is None:
            led = self._led.get((flow.remote, Protocol.UDP))
            if led is None:
                flow.refuse(Refusal.REFUSED, now)
                return None
            target, port = led
        return self._udp.connect(flow, target.family, (target.address, port))

    def udp_closed(self, flow: UdpFlow, now: float) -> None:
        """See `engine.Outbound`."""
        if isinstance(flow.context, udp.HostUdp):
            flow.context.close()
            flow.context = None

    def echo_requested(self, request: event.EchoRequested, now: float) -> None:
        """See `engine.Outbound`."""
        for gate in self.gates.echo:
            if (refusal := gate(request)) is not None:
                self.engine.stack.send_error(request, refusal, now)
                return
        target = self.router.target(request.destination)
        if target is None:
            self.engine.stack.send_error(request, Refusal.HOST_UNREACHABLE, now)
        else:
            self._pinger.ping(request, target, now)

    def close(self) -> None:
        """Give back what does not end with a flow."""
        self._udp.close()
        self._pinger.close()


def _unwatched(_: Flow) -> tcp.Tap | None:
    return None
