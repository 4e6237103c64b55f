"""ICMP of both families: echo, and errors that are honest about what the host was told.

Echo to one of our addresses is answered here; to anybody else it is told to the runtime.
Errors quote the packet they are about and are limited in rate for each port; none is sent about
an error, a fragment's rest or a group address (RFC 1122, 3.2.2; RFC 4443, 2.4).
"""

from __future__ import annotations

from dataclasses import dataclass

from sampan.net.core import event
from sampan.net.core.delivery import Delivery
from sampan.net.core.endpoint import Endpoint
from sampan.net.core.event import Refusal
from sampan.net.core.network import Network
from sampan.net.core.port import Port
from sampan.net.wire import icmpv4, icmpv6
from sampan.net.wire.icmpv6 import Kind
from sampan.net.wire.ipv4 import Ipv4, Protocol
from sampan.net.wire.ipv6 import Ipv6

_CODES4 = {
    Refusal.REFUSED: icmpv4.Unreachable.PORT,
    Refusal.HOST_UNREACHABLE: icmpv4.Unreachable.HOST,
    Refusal.NETWORK_UNREACHABLE: icmpv4.Unreachable.NETWORK,
    Refusal.PROHIBITED: icmpv4.Unreachable.PROHIBITED,
}
_CODES6 = {
    Refusal.REFUSED: icmpv6.Unreachable.PORT,
    Refusal.HOST_UNREACHABLE: icmpv6.Unreachable.ADDRESS,
    Refusal.NETWORK_UNREACHABLE: icmpv6.Unreachable.NO_ROUTE,
    Refusal.PROHIBITED: icmpv6.Unreachable.PROHIBITED,
}


@dataclass(frozen=True, slots=True)
class Station:
    """Whom an answer goes to."""

    port: Port
    mac: bytes
    address: bytes


class Icmp:
    """Answers echo, tells of it, and sends errors."""

    __slots__ = ("_delivery", "_events", "_network")

    def __init__(self, network: Network, delivery: Delivery, events: list[event.Event]) -> None:
        self._network = network
        self._delivery = delivery
        self._events = events

    def received4(self, port: Port, mac: bytes, packet: Ipv4, message: icmpv4.Message) -> None:
        """An ICMP message over IPv4."""
        if not isinstance(message, icmpv4.Echo) or message.reply:
            return
        self._echo(
            Station(port, mac, packet.source), packet, message.identifier, message.sequence,
            message.payload, packet.payload[:8],
        )  # fmt: skip

    def received6(self, port: Port, mac: bytes, packet: Ipv6, message: icmpv6.Message) -> None:
        """An ICMP message over IPv6 that is not of neighbour discovery."""
        if message.kind == Kind.ECHO:
            self._echo(
                Station(port, mac, packet.source), packet, message.word >> 16,
                message.word & 0xFFFF, message.body, packet.payload[:8],
            )  # fmt: skip

    def _echo(
        self, station: Station, packet: Ipv4 | Ipv6, identifier: int, sequence: int,
        payload: bytes, start: bytes,
    ) -> None:  # fmt: skip
        destination = packet.destination
        if destination in self._network.ours:
            self.reply(station, destination, identifier, sequence, payload)
        elif not self._network.on_link(destination) and destination[0] < 224:
            self._events.append(event.EchoRequested(
                station.port, station.address, destination, identifier, sequence, payload,
                packet.hop_limit, quote(station.address, destination, packet.protocol, start),
            ))  # fmt: skip

    def reply(
        self, station: Station, source: bytes, identifier: int, sequence: int, payload: bytes
    ) -> None:
        """Send an echo reply in the name of `source`."""
        if len(source) == 4:
            data = icmpv4.Echo(True, identifier, sequence, payload).emit()
            protocol = Protocol.ICMP
        else:
            word = identifier << 16 | sequence
            message = icmpv6.Message(Kind.ECHO_REPLY, 0, word, payload)
            data = message.emit(source, station.address)
            protocol = Protocol.ICMPV6
        self._delivery.packet(
            station.port, station.mac, source, station.address, protocol, data
        )  # fmt: skip

    def unreachable(self, station: Station, refusal: Refusal, quoted: bytes, now: float) -> None:
        """Tell a station that the quoted packet could not be delivered; of time-outs, nothing."""
        if refusal is Refusal.TIMED_OUT:
            return
        if len(station.address) == 4:
            self._error(
                station, icmpv4.DestinationUnreachable(_CODES4[refusal], quoted).emit(), now
            )
        else:
            self._error6(station, Kind.UNREACHABLE, _CODES6[refusal], quoted, now)

    def time_exceeded(self, station: Station, quoted: bytes, now: float) -> None:
        """Tell a station that the quoted packet had no hops left."""
        if len(station.address) == 4:
            self._error(station, icmpv4.TimeExceeded(0, quoted).emit(), now)
        else:
            self._error6(station, Kind.TIME_EXCEEDED, 0, quoted, now)

    def _error(self, station: Station, data: bytes, now: float) -> None:
        if station.port.may_complain(now):
            self._delivery.packet(
                station.port, station.mac, self._network.gateway, station.address,
                Protocol.ICMP, data,
            )  # fmt: skip

    def _error6(self, station: Station, kind: int, code: int, quoted: bytes, now: float) -> None:
        if not self._network.prefix6 or not station.port.may_complain(now):
            return
        source = self._network.source_for(station.address)
        message = icmpv6.Message(kind, code, 0, quoted[: icmpv6.QUOTE_LENGTH])
        data = message.emit(source, station.address)
        self._delivery.packet(
            station.port, station.mac, source, station.address, Protocol.ICMPV6, data
        )  # fmt: skip


def quote(source: bytes, destination: bytes, protocol: int, start: bytes) -> bytes:
    """What an error says of a packet: an IP header like its own, and the first bytes behind."""
    if len(source) == 4:
        return Ipv4(source, destination, protocol, start).emit()
    return Ipv6(source, destination, protocol, start).emit()


def quote_flow(guest: Endpoint, remote: Endpoint, protocol: int, rest: bytes) -> bytes:
    """As `quote`, for a packet of a flow: ports, and the four bytes behind them."""
    ports = guest.port.to_bytes(2, "big") + remote.port.to_bytes(2, "big")
    return quote(guest.address, remote.address, protocol, ports + rest)
