"""A frame for us by the slow path: from its bytes to the protocol it carries.

What is checked here: that a station speaks under an address it may have (spoofed sources are
dropped), headers and checksums, that a packet is whole, that it has hops left, and that it is
for us or beyond us: other stations of the network are the switch's.
"""

from __future__ import annotations

from sampan.net.core import complaint, event
from sampan.net.core.endpoint import Endpoint
from sampan.net.core.event import Refusal
from sampan.net.core.fragment import Reassembler
from sampan.net.core.icmp import Icmp, Station, quote
from sampan.net.core.ledger import Ledger
from sampan.net.core.neighbour import Neighbours
from sampan.net.core.port import Port
from sampan.net.core.tcp import Tcp
from sampan.net.core.udp import UdpFlows
from sampan.net.wire import address, icmpv4, ndp
from sampan.net.wire.arp import Arp
from sampan.net.wire.error import MalformedError
from sampan.net.wire.ethernet import EtherType
from sampan.net.wire.icmpv6 import Kind, Message
from sampan.net.wire.ipv4 import Ipv4, Protocol
from sampan.net.wire.ipv6 import Ipv6
from sampan.net.wire.tcp import Segment
from sampan.net.wire.udp import Udp

_IPV4, _IPV6, _ARP = int(EtherType.IPV4), int(EtherType.IPV6), int(EtherType.ARP)
_TCP, _UDP, _ICMP = int(Protocol.TCP), int(Protocol.UDP), int(Protocol.ICMP)
_DISCOVERY = range(Kind.ROUTER_SOLICITATION, Kind.NEIGHBOUR_ADVERTISEMENT + 2)


class Inbound:
    """The slow path. `solicited` is set when somebody asked for a router."""

    __slots__ = ("_icmp", "_ledger", "_neighbours", "_tcp", "_udp", "reassembler", "solicited")

    def __init__(
        self, ledger: Ledger, tcp: Tcp, udp: UdpFlows, icmp: Icmp, neighbours: Neighbours
    ) -> None:
        self._ledger = ledger
        self._tcp = tcp
        self._udp = udp
        self._icmp = icmp
        self._neighbours = neighbours
        self.reassembler = Reassembler(ledger.limits)
        self.solicited = False

    def frame_received(
        self, port: Port, mac: bytes, frame: memoryview
    ) -> event.NeighbourLearned | None:
        """Take in a frame for us, or for everybody; a new station, if it came from one."""
        head = port.head
        kind = int.from_bytes(frame[head + 12 : head + 14], "big")
        data = frame[port.ip_offset :]
        trusted = port.trusts(frame)
        try:
            if kind == _ARP:
                return self._arp(port, mac, data)
            if kind == _IPV4:
                return self._ipv4(port, mac, data, trusted)
            if kind == _IPV6 and self._ledger.network.prefix6:
                return self._ipv6(port, mac, data, trusted)
        except MalformedError:
            port.frames_dropped += 1
        return None

    def _arp(self, port: Port, mac: bytes, data: memoryview) -> event.NeighbourLearned | None:
        packet = Arp.parse(data)
        if packet.sender_mac != mac:
            raise MalformedError("an ARP packet that names another station")
        learned = None
        if any(packet.sender_ip):
            learned = self._heard(port, mac, packet.sender_ip)
        self._neighbours.answer_arp(port, packet)
        return learned

    def _heard(self, port: Port, mac: bytes, source: bytes) -> event.NeighbourLearned | None:
        """Note who speaks under which address. Raises MalformedError if it may not."""
        new = self._neighbours.heard(source, port, mac, self._ledger.now)
        if new is False:
            raise MalformedError("a spoofed source address")
        return event.NeighbourLearned(port, source, mac) if new else None

    def _ipv4(
        self, port: Port, mac: bytes, data: memoryview, trusted: bool
    ) -> event.NeighbourLearned | None:
        packet = Ipv4.parse(data)
        learned = self._heard(port, mac, packet.source) if any(packet.source) else None
        self._packet(port, mac, packet, trusted)
        return learned

    def _ipv6(
        self, port: Port, mac: bytes, data: memoryview, trusted: bool
    ) -> event.NeighbourLearned | None:
        packet = Ipv6.parse(data)
        learned = self._heard(port, mac, packet.source) if any(packet.source) else None
        self._packet(port, mac, packet, trusted)
        return learned

    def _packet(self, port: Port, mac: bytes, packet: Ipv4 | Ipv6, trusted: bool) -> None:
        if packet.is_fragment:
            whole: Ipv4 | Ipv6 | None
            if isinstance(packet, Ipv4):
                whole = self.reassembler.add(packet, self._ledger.now)
            else:
                whole = self.reassembler.add(packet, self._ledger.now)
            if whole is None:
                return
            packet, trusted = whole, False
        network, destination = self._ledger.network, packet.destination
        group = address.is_multicast(destination) or network.is_broadcast(destination)
        if not group and destination not in network.ours:
            if not any(destination) or not any(packet.source):
                return
            refused = self._cannot_pass(packet)
            if refused is not None:
                quoted = quote(packet.source, destination, packet.protocol, packet.payload[:8])
                station = Station(port, mac, packet.source)
                if refused is Refusal.TIMED_OUT:
                    self._icmp.time_exceeded(station, quoted, self._ledger.now)
                else:
                    self._icmp.unreachable(station, refused, quoted, self._ledger.now)
                return
        self._transport(port, mac, packet, trusted, group)

    def _cannot_pass(self, packet: Ipv4 | Ipv6) -> Refusal | None:
        """Why a packet for somebody else goes no further; TIMED_OUT: it has no hops left."""
        if self._ledger.network.on_link(packet.destination):
            return Refusal.HOST_UNREACHABLE
        return Refusal.TIMED_OUT if packet.hop_limit <= 1 else None

    def _transport(
        self, port: Port, mac: bytes, packet: Ipv4 | Ipv6, trusted: bool, group: bool
    ) -> None:
        protocol, source, destination = packet.protocol, packet.source, packet.destination
        if protocol == _TCP and not group and any(source):
            segment = Segment.parse(packet.payload, source, destination, check=not trusted)
            self._tcp.segment_received(port, mac, source, destination, segment)
        elif protocol == _UDP:
            datagram = Udp.parse(packet.payload, source, destination, check=not trusted)
            self._datagram(port, mac, source, destination, datagram, group)
        elif isinstance(packet, Ipv6):
            if protocol == Protocol.ICMPV6:
                self._icmpv6(port, mac, packet)
        elif protocol == _ICMP and not group and any(source):
            self._icmpv4(port, mac, packet)

    def _datagram(
        self, port: Port, mac: bytes, source: bytes, destination: bytes, datagram: Udp, group: bool
    ) -> None:
        guest = Endpoint(source, datagram.source_port)
        remote = Endpoint(destination, datagram.destination_port)
        network = self._ledger.network
        if remote.port in network.service_ports and (group or destination in network.ours):
            self._ledger.events.append(
                event.ServiceDatagram(port, mac, guest, remote, datagram.payload)
            )
        elif not group and any(source):
            self._udp.received(port, mac, guest, remote, datagram.payload)

    def _icmpv4(self, port: Port, mac: bytes, packet: Ipv4) -> None:
        message = icmpv4.parse(packet.payload)
        self._complained(packet, complaint.of_icmpv4(message))
        self._icmp.received4(port, mac, packet, message)

    def _icmpv6(self, port: Port, mac: bytes, packet: Ipv6) -> None:
        message = Message.parse(packet.payload, packet.source, packet.destination)
        if message.kind not in _DISCOVERY:
            if any(packet.source) and not address.is_multicast(packet.destination):
                self._complained(packet, complaint.of_icmpv6(message))
                self._icmp.received6(port, mac, packet, message)
            return
        if packet.hop_limit != ndp.HOP_LIMIT or message.code:
            raise MalformedError("neighbour discovery from beyond the link")
        meaning = ndp.parse(message)
        if isinstance(meaning, ndp.RouterSolicitation):
            self.solicited = True
        elif isinstance(meaning, ndp.Solicitation):
            self._neighbours.answer_solicitation(port, mac, packet.source, meaning.target)

    def _complained(self, packet: Ipv4 | Ipv6, found: complaint.Complaint | None) -> None:
        if found is not None:
            complaint.complained(self._ledger, self._udp, packet.source, found)
