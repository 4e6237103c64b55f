"""The engine: links and the stack, turn by turn.

A link hands a batch of frames to its `Plug`; the stack takes them in, what it says happened is
acted upon at once (the frames' buffers will be used again), and what is to be sent goes out
with the turn. Flows are told to their channels; what has no channel yet goes to `outbound`,
which decides where it leads; services have their ports.

A service or channel that raises costs its flow or its datagram, never the engine.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

from sampan.base import log
from sampan.base.loop import Loop
from sampan.net.core import event
from sampan.net.core.flow import Flow
from sampan.net.core.limit import Limits
from sampan.net.core.network import Network
from sampan.net.core.port import Frame, Port
from sampan.net.core.stack import Stack
from sampan.net.core.udp import UdpFlow
from sampan.net.link.pcapng import Direction
from sampan.net.runtime.channel import Channel
from sampan.net.wire.checksum import Buffer

_log = log.get(__name__)
_Kind = TypeVar("_Kind", bound=event.Event)

FrameWatcher: TypeAlias = Callable[[str, Sequence[Buffer], int, Direction], None]
QUIET_S = 5.0
Service: TypeAlias = Callable[[event.ServiceDatagram, float], None]


class Link(Protocol):
    """Where frames come from and go to. `head` is the length of its offload header.

    A link that cannot damage frames may say so by an attribute `verifies` that is False: no
    checksums of what comes by it are looked at.
    """

    @property
    def head(self) -> int:
        """Bytes of the offload header in front of each frame: 0, 10 or 12."""

    def start(self, plug: Plug) -> None:
        """Begin to watch: hand what comes to `plug.received`."""

    def send(self, frames: list[Frame]) -> None:
        """Send frames, in order; what does not go may be kept for a while, or lost."""

    def close(self) -> None:
        """End it, and give back what it holds."""


class Outbound(Protocol):
    """Where machines' flows, datagrams and pings lead that are not for a service."""

    def flow_opened(self, flow: Flow, now: float) -> None:
        """A machine wants a connection: give the flow a channel, or refuse it."""

    def datagrams_received(self, flow: UdpFlow, now: float) -> None:
        """A machine sends datagrams."""

    def udp_closed(self, flow: UdpFlow, now: float) -> None:
        """A UDP flow is over."""

    def echo_requested(self, request: event.EchoRequested, now: float) -> None:
        """A machine pings somebody outside."""


class Plug:
    """A link's place in the engine: what it hands frames to."""

    __slots__ = ("_engine", "link", "name", "port", "when_lost")

    def __init__(self, engine: Engine, link: Link, port: Port, name: str) -> None:
        self._engine = engine
        self.link = link
        self.port = port
        self.name = name
        self.when_lost: Callable[[], None] | None = None

    @property
    def loop(self) -> Loop:
        """The loop to watch descriptors with."""
        return self._engine.loop

    @property
    def engine(self) -> Engine:
        """Whose plug it is."""
        return self._engine

    def received(self, frames: Iterable[memoryview]) -> None:
        """A batch of frames, at most a few dozen; acted upon when this returns."""
        self._engine.received(self.port, frames)

    def lost(self, why: str) -> None:
        """The peer is gone, or made no sense: unplug."""
        _log.info("link %s ends: %s", self.name, why)
        self._engine.unplug(self)


class Engine:
    """One network, driven by one loop. Everything happens in the loop's thread."""

    def __init__(self, loop: Loop, network: Network, limits: Limits | None = None) -> None:
        self.loop = loop
        self.stack = Stack(network, os.urandom, limits)
        self.outbound: Outbound | None = None
        self.plugs: dict[Port, Plug] = {}
        self._services: dict[int, Service] = {}
        self._watchers: list[FrameWatcher] = []
        self.when_unplugged: list[Callable[[Plug], None]] = []
        self._observers: dict[type[object], list[Callable[[Any, float], None]]] = {}
        self._handlers: dict[type[object], Callable[[Any, float], None]] = {
            event.DataReceived: self._readable,
            event.RoomOpened: self._writable,
            event.FlowOpened: self._opened,
            event.FlowEstablished: self._established,
            event.FlowFinished: self._finished,
            event.FlowClosed: self._closed,
            event.FlowReset: self._reset,
            event.DatagramsReceived: self._datagrams,
            event.UdpFlowClosed: self._udp_closed,
            event.ServiceDatagram: self._service,
            event.EchoRequested: self._echo,
            event.NeighbourLearned: _noted,
            event.DatagramRefused: _noted,
        }
        self._heard = 0.0
        self._is_busy = False
        loop.turn = self

    # Links and services

    def plug(self, link: Link, *, name: str, mtu: int | None = None, mac: bytes = b"") -> Plug:
        """Connect a link. A MAC, if given, is the only one allowed on it."""
        verifies = getattr(link, "verifies", True)
        port = self.stack.add_port(
            self.loop.now(), head=link.head, mtu=mtu, mac=mac, verifies=verifies
        )
        plug = self.plugs[port] = Plug(self, link, port, name)
        try:
            link.start(plug)
        except BaseException:
            self.unplug(plug)
            raise
        return plug

    def unplug(self, plug: Plug) -> None:
        """Disconnect a link; its machines' flows end. Nothing happens if it is not connected."""
        if self.plugs.pop(plug.port, None) is None:
            return
        self.stack.remove_port(plug.port, self.loop.now())
        plug.link.close()
        for told in self.when_unplugged:
            told(plug)
        if plug.when_lost is not None:
            plug.when_lost()

    def close(self) -> None:
        """Disconnect all links and end all flows, also those to machines nobody has found."""
        for plug in list(self.plugs.values()):
            self.unplug(plug)
        now = self.loop.now()
        self.act(now)  # what ended with its link gives back what it holds
        for flow in self.stack.flows:
            flow.abort(now)
            _gone(flow, event.Reason.GONE, now)

    def serve(self, port: int, service: Service) -> None:
        """Hand datagrams for one of the network's service ports to `service`."""
        self._services[port] = service

    def observe(self, kind: type[_Kind], observer: Callable[[_Kind, float], None]) -> None:
        """Tell `observer` of every event of a kind, before it is acted upon."""
        self._observers.setdefault(kind, []).append(observer)

    def watch_frames(self, watcher: FrameWatcher) -> None:
        """Show `watcher` all frames of all links: link, buffers, offload header, direction."""
        self._watchers.append(watcher)

    def unwatch_frames(self, watcher: FrameWatcher) -> None:
        """Show it no more."""
        self._watchers.remove(watcher)

    def _show(self, port: Port, frames: Iterable[Sequence[Buffer]], direction: Direction) -> None:
        plug = self.plugs.get(port)
        name = plug.name if plug is not None else ""
        for frame in frames:
            for watcher in self._watchers:
                watcher(name, frame, port.head, direction)

    # One turn

    def received(self, port: Port, frames: Iterable[memoryview]) -> None:
        """Frames came from a link. What the stack cannot bear costs the batch."""
        now = self._heard = self.loop.now()
        if not self._is_busy:
            self._is_busy = True
            self.loop.call_at(now + QUIET_S, self._look_whether_quiet)
        if self._watchers:
            frames = list(frames)
            self._show(port, [(each,) for each in frames], Direction.OUT)
        try:
            self.stack.frames_received(port, frames, now)
        except Exception:  # noqa: BLE001  a fault of ours, which a machine must not profit from
            _log.exception("frames of port %d are lost", port.number)
        self.act(now)
        self.send()

    def _look_whether_quiet(self) -> None:
        """When nobody has spoken for a while, give back the memory that the last rush took."""
        quiet = self._heard + QUIET_S
        if quiet > self.loop.now():
            self.loop.call_at(quiet, self._look_whether_quiet)
        else:
            self._is_busy = False
            self.stack.trim()

    def next_timer(self) -> float:
        """See `base.loop.Turn`."""
        return self.stack.next_timer()

    def timer_fired(self, now: float) -> None:
        """See `base.loop.Turn`."""
        self.stack.timer_fired(now)

    def settle(self, now: float) -> None:
        """See `base.loop.Turn`."""
        self.act(now)
        self.send()

    def send(self) -> None:
        """Send what there is to be sent."""
        for port, frames in self.stack.frames_to_send():
            plug = self.plugs.get(port)
            if plug is not None:
                if self._watchers:
                    self._show(port, frames, Direction.IN)
                plug.link.send(frames)

    def act(self, now: float) -> None:
        """Act upon what happened, and upon what that brought about."""
        while events := self.stack.events():
            for each in events:
                try:
                    self._happened(each, now)
                except Exception:  # noqa: BLE001  a fault of ours costs one flow
                    _log.exception("%s could not be acted upon", type(each).__name__)
                    self._give_up(each, now)

    def _happened(self, each: event.Event, now: float) -> None:
        kind = type(each)
        for observer in self._observers.get(kind, ()):
            observer(each, now)
        self._handlers[kind](each, now)

    def _opened(self, each: event.FlowOpened, now: float) -> None:
        if self.outbound is None:
            each.flow.refuse(event.Refusal.NETWORK_UNREACHABLE, now)
        elif each.flow.is_alive:
            self.outbound.flow_opened(each.flow, now)

    @staticmethod
    def _established(each: event.FlowEstablished, now: float) -> None:
        if (channel := _channel(each.flow)) is not None:
            channel.established(now)

    @staticmethod
    def _readable(each: event.DataReceived, now: float) -> None:
        if (channel := _channel(each.flow)) is not None:
            channel.readable(now)

    @staticmethod
    def _writable(each: event.RoomOpened, now: float) -> None:
        if (channel := _channel(each.flow)) is not None:
            channel.writable(now)

    @staticmethod
    def _finished(each: event.FlowFinished, now: float) -> None:
        if (channel := _channel(each.flow)) is not None:
            channel.finished(now)

    @staticmethod
    def _closed(each: event.FlowClosed, now: float) -> None:
        _gone(each.flow, None, now)

    @staticmethod
    def _reset(each: event.FlowReset, now: float) -> None:
        _gone(each.flow, each.reason, now)

    def _datagrams(self, each: event.DatagramsReceived, now: float) -> None:
        if self.outbound is not None:
            self.outbound.datagrams_received(each.flow, now)

    def _udp_closed(self, each: event.UdpFlowClosed, now: float) -> None:
        if self.outbound is not None:
            self.outbound.udp_closed(each.flow, now)

    def _service(self, each: event.ServiceDatagram, now: float) -> None:
        service = self._services.get(each.destination.port)
        if service is not None:
            service(each, now)

    def _echo(self, each: event.EchoRequested, now: float) -> None:
        if self.outbound is not None:
            self.outbound.echo_requested(each, now)

    def _give_up(self, each: event.Event, now: float) -> None:
        """Whoever had to act upon this failed: its flow ends here."""
        flow = getattr(each, "flow", None)
        try:
            if isinstance(flow, Flow):
                flow.abort(now)
                _gone(flow, event.Reason.GONE, now)
            elif isinstance(flow, UdpFlow):
                flow.close()
                if self.outbound is not None:
                    self.outbound.udp_closed(flow, now)
        except Exception:  # noqa: BLE001  it is forgotten all the same
            _log.exception("a flow could not be given up")


def _channel(flow: Flow) -> Channel | None:
    channel: Channel | None = flow.context  # type: ignore[assignment]  # ours: see `Flow.context`
    return channel


def _gone(flow: Flow, reason: event.Reason | None, now: float) -> None:
    if (channel := _channel(flow)) is not None:
        flow.context = None
        channel.gone(reason, now)


def _noted(_: event.NeighbourLearned | event.DatagramRefused, now: float) -> None:
    """Of interest to observers only."""
