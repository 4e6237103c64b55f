"""The whole stack: ports, switch, IP, and what stands on it. This is what a runtime holds.

Theory of operation. One turn of the runtime is: `frames_received` for each port that has some
(at most a few dozen at a time), then `events()` and acting on them, then reading from hosts'
sockets into flows, then `frames_to_send()`, which also settles what is owed to machines. Views
that were handed out in a turn (`Flow.data`, `UdpFlow.datagrams`) are valid until the next
`frames_received` of any port.

The fast paths of TCP and UDP look at a frame first. What they do not take goes through the
switch, and, if it is for us, through reassembly and the rules about sources.

It may not know what a socket is, nor what any service does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from sampan.net.core import event
from sampan.net.core.advert import Advertiser
from sampan.net.core.buffer import SendBuffer
from sampan.net.core.delivery import Delivery
from sampan.net.core.endpoint import Endpoint
from sampan.net.core.flow import Flow
from sampan.net.core.guard import Guard
from sampan.net.core.icmp import Icmp, Station, quote_flow
from sampan.net.core.inbound import Inbound
from sampan.net.core.ledger import Entropy, Ledger
from sampan.net.core.limit import Limits
from sampan.net.core.neighbour import Neighbours
from sampan.net.core.network import Network
from sampan.net.core.port import Frame, Port
from sampan.net.core.switch import Switch
from sampan.net.core.tcp import Tcp
from sampan.net.core.udp import UdpFlow, UdpFlows
from sampan.net.wire.ipv4 import Protocol

_ASK_AGAIN_S = 1.0
_PROTOCOL_AT = 11  # behind where an Ethernet header names IPv4
_UDP = int(Protocol.UDP)


class Stack:
    """A network's stack. `entropy(n)` gives n unpredictable bytes."""

    __slots__ = (
        "_advertiser", "_ask_at", "_delivery", "_events", "_guard", "_icmp", "_inbound", "_ledger", "_neighbours",
        "_switch", "_tcp", "_udp", "_unplugged", "_wanted", "limits", "network",
    )  # fmt: skip

    def __init__(self, network: Network, entropy: Entropy, limits: Limits | None = None) -> None:
        self.network = network
        self.limits = limits = limits or Limits()
        self._ledger = Ledger(network, limits, entropy, self._unreachable)
        self._events = self._ledger.events
        self._delivery = Delivery(network)
        self._icmp = Icmp(network, self._delivery, self._events)
        self._tcp = Tcp(self._ledger)
        self._udp = UdpFlows(network.mac, limits, self._delivery, self._icmp, self._events)
        self._neighbours = Neighbours(network, limits)
        self._guard = Guard(network, self._neighbours)
        self._switch = Switch(network.mac, limits)
        self._advertiser = Advertiser(network)
        self._inbound = Inbound(self._ledger, self._tcp, self._udp, self._icmp, self._neighbours)
        self._unplugged = Port(-1, limits)
        self._ask_at = math.inf
        self._wanted: dict[bytes, list[Flow]] = {}  # flows to stations that must be found first

    # Ports

    def add_port(
        self, now: float, *, head: int = 0, mtu: int | None = None, mac: bytes = b"",
        verifies: bool = True,
    ) -> Port:  # fmt: skip
        """Plug a link in. `head`: bytes of its offload header (0: none); see `port.Port`."""
        self._ledger.now = now
        number = 1 + max((port.number for port in self._switch.ports), default=0)
        mtu = mtu or self.network.mtu
        port = Port(number, self.limits, head=head, mtu=mtu, mac=mac, verifies=verifies)
        self._switch.add(port)
        self._advertiser.advertise(port)
        return port

    def remove_port(self, port: Port, now: float) -> None:
        """Unplug a link: its flows end (FlowReset, UdpFlowClosed), its stations are forgotten."""
        self._ledger.now = now
        for flow in [each for each in self._ledger.flows.values() if each.port is port]:
            flow.end(event.Reason.GONE)
        self._udp.forget(port)
        self._neighbours.forget(port)
        self._switch.remove(port)
        port.outgoing.clear()

    @property
    def ports(self) -> tuple[Port, ...]:
        """The links that are plugged in."""
        return tuple(self._switch.ports)

    # In

    def frames_received(self, port: Port, frames: Iterable[memoryview], now: float) -> None:
        """Frames came from a link, each with its offload header, if the port has such.

        Act upon `events()` before the frames' buffers are used again, and send what
        `frames_to_send()` gives.
        """
        ledger, tcp, udp = self._ledger, self._tcp, self._udp
        ledger.now = udp.now = now
        if ledger.readable:
            ledger.keep()
        if udp.ready:
            udp.drop_waiting()
        kind = port.head + 12
        protocol = kind + _PROTOCOL_AT
        for frame in frames:
            port.frames_in += 1
            if len(frame) <= protocol:
                if len(frame) < kind + 2:
                    continue
            elif frame[kind] == 0x08:
                if frame[protocol] == _UDP:
                    if udp.frame4(port, frame):
                        continue
                elif tcp.frame4(port, frame):
                    continue
            elif tcp.frame6(port, frame):
                continue
            self._slow(port, frame)

    def _slow(self, port: Port, frame: memoryview) -> None:
        head = port.head
        destination = bytes(frame[head : head + 6])
        source = bytes(frame[head + 6 : head + 12])
        if len(frame) > head + 65535 + 14 or not self._switch.admits(port, source):
            port.frames_dropped += 1
            return
        if destination != self.network.mac:
            if not self._guard.admits(port, source, frame, self._ledger.now):
                port.frames_dropped += 1
                return
            self._switch.forward(port, destination, frame)
            while self._guard.learned:
                self._found(self._guard.learned.pop())
            if not destination[0] & 1:
                return
        learned = self._inbound.frame_received(port, source, frame)
        if learned is not None:
            self._found(learned)
        if self._inbound.solicited:
            self._inbound.solicited = False
            self._advertiser.advertise(port)

    def _found(self, neighbour: event.NeighbourLearned) -> None:
        """A station was heard: the connections that waited for it may begin."""
        self._events.append(neighbour)
        for flow in self._wanted.pop(neighbour.address, ()):
            self._tcp.begin(flow, neighbour.port, neighbour.mac)

    # Out

    def events(self) -> list[event.Event]:
        """What happened since the last call, in order."""
        if self._ledger.starved:
            self._ledger.feed()
        if not self._events:
            return []
        events = list(self._events)
        self._events.clear()
        return events

    def frames_to_send(self) -> list[tuple[Port, list[Frame]]]:
        """The frames to be sent now, by port, in order.

        A frame is a tuple of buffers to be written as one. They stay valid while the flow they
        belong to lives; a link that is full may keep them for a while.
        """
        self._tcp.settle()
        sending = []
        for port in self._switch.ports:
            if port.outgoing:
                sending.append((port, port.outgoing))
                port.outgoing = []
        self._unplugged.outgoing.clear()
        return sending

    def next_timer(self) -> float:
        """When `timer_fired` must be called, at the latest; infinite if nothing waits."""
        if self._ledger.starved and not self._ledger.pool.is_empty:
            return self._ledger.now
        wanted = self._ask_at if self._wanted else math.inf
        return min(
            self._ledger.next_timer(), self._udp.next_timer(), self._advertiser.next_timer(),
            self._inbound.reassembler.next_timer(), wanted,
        )  # fmt: skip

    def timer_fired(self, now: float) -> None:
        """Time has passed. `events()` and `frames_to_send()` may have something after it."""
        self._ledger.now = now
        self._ledger.feed()
        self._tcp.timer_fired(now)
        self._udp.timer_fired(now)
        self._inbound.reassembler.timer_fired(now)
        self._advertiser.timer_fired(now, self._switch.ports)
        if self._wanted and self._ask_at <= now:
            self._ask_for_wanted()

    def _ask_for_wanted(self) -> None:
        for ip, flows in list(self._wanted.items()):
            self._wanted[ip] = [flow for flow in flows if flow.is_alive]
            if self._wanted[ip]:
                self._ask(ip)
            else:
                del self._wanted[ip]

    # Actions

    def spare(self) -> SendBuffer | None:
        """A buffer to receive a host's data into, for `Flow.send`; None while all are in flight.

        Asking again gives the same one until a flow has kept it.
        """
        return self._ledger.pool.spare()

    def open(self, guest: Endpoint, remote: Endpoint, now: float) -> Flow:
        """Open a connection to a machine, in the name of `remote`.

        FlowEstablished follows, or FlowReset with REFUSED or TIMED_OUT.

        Raises:
            ValueError: there is such a connection already, or `guest` is not on this network.
        """
        self._ledger.now = now
        if not self.network.on_link(guest.address) or guest.address in self.network.ours:
            raise ValueError(f"{guest} is no machine of this network")
        known = self._neighbours.find(guest.address)
        if known is not None:
            flow = self._tcp.open(known.port, known.mac, guest, remote)
        else:
            flow = self._tcp.open(self._unplugged, self.network.mac, guest, remote)
            self._wanted.setdefault(guest.address, []).append(flow)
            self._ask(guest.address)
        return flow

    def _ask(self, ip: bytes) -> None:
        self._ask_at = self._ledger.now + _ASK_AGAIN_S
        for port in self._switch.ports:
            self._neighbours.ask(port, ip)

    def send_datagram(
        self, source: Endpoint, destination: Endpoint, payload: bytes, now: float,
        to: tuple[Port, bytes] | None = None,
    ) -> bool:  # fmt: skip
        """Send a datagram to a machine. `to` names port and MAC of one that has no address yet.

        False: nobody is known to have the address (a question is sent; try again).
        """
        self._ledger.now = now
        known = self._neighbours.find(destination.address)
        if to is None and known is None:
            self._ask(destination.address)
            return False
        if to is None and known is not None:
            to = known.port, known.mac
        assert to is not None
        self._delivery.datagram(*to, source, destination, payload)
        return True

    def send_echo_reply(self, request: event.EchoRequested, payload: bytes, now: float) -> None:
        """Whom a machine pinged has answered."""
        self._ledger.now = now
        known = self._neighbours.find(request.source)
        if known is not None:
            station = Station(known.port, known.mac, request.source)
            self._icmp.reply(
                station, request.destination, request.identifier, request.sequence, payload
            )  # fmt: skip

    def send_error(self, request: event.EchoRequested, refusal: event.Refusal, now: float) -> None:
        """Whom a machine pinged cannot be reached."""
        self._ledger.now = now
        known = self._neighbours.find(request.source)
        if known is not None:
            station = Station(known.port, known.mac, request.source)
            self._icmp.unreachable(station, refusal, request.quote, now)

    def _unreachable(self, flow: Flow, refusal: event.Refusal) -> None:
        station = Station(flow.port, flow.mac, flow.guest.address)
        sequence = (flow.receiver.next - 1 & 0xFFFFFFFF).to_bytes(4, "big")
        quoted = quote_flow(flow.guest, flow.remote, Protocol.TCP, sequence)
        self._icmp.unreachable(station, refusal, quoted, self._ledger.now)

    def reserve(self, ip: bytes, mac: bytes) -> None:
        """Only the station with this MAC may have `ip` (a lease); an empty MAC lets it go."""
        self._neighbours.reserve(ip, mac)

    def trim(self) -> None:
        """Give unused buffers back; for when nothing has happened for a while."""
        self._ledger.pool.trim()

    # To be looked at

    @property
    def flows(self) -> tuple[Flow, ...]:
        """All TCP flows."""
        return tuple(self._ledger.flows.values())

    @property
    def udp_flows(self) -> tuple[UdpFlow, ...]:
        """All UDP flows."""
        return tuple(self._udp.table.values())

    @property
    def held(self) -> int:
        """How many bytes wait for hosts' sockets, or came out of order."""
        return self._ledger.account.held

    @property
    def buffers_in_flight(self) -> int:
        """How many send buffers wait to be acknowledged."""
        return self._ledger.pool.lent

    def who_has(self, ip: bytes, now: float) -> bytes:
        """The MAC that speaks as `ip`; empty if nobody was heard for `Limits.neighbour_s`."""
        known = self._neighbours.find(ip)
        fresh = known is not None and now - known.seen < self.limits.neighbour_s
        return known.mac if known is not None and fresh else b""

    @property
    def stations(self) -> dict[bytes, Port]:
        """The MACs that have been seen, and where."""
        return dict(self._switch.stations)
