"""Which station has which address, learned from what stations send; and who may claim one.

An address belongs to the station that spoke first under it, for as long as it goes on speaking:
frames from another port or MAC under the same address are spoofed and dropped. Addresses that
were reserved (leases) belong to their MAC for good. The table is bounded for each port.

The stack is the router for everything: it answers questions (ARP, neighbour solicitations) for
its own addresses, and for all that do not belong on this network, so that a machine with a
wrong netmask works too. It stays silent about other stations, which answer for themselves.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from sampan.net.core.limit import Limits
from sampan.net.core.network import Network
from sampan.net.core.port import Port
from sampan.net.wire import address, ethernet, icmpv6, ipv4, ndp
from sampan.net.wire.arp import Arp, Operation
from sampan.net.wire.ethernet import EtherType, Frame
from sampan.net.wire.ipv6 import Ipv6


@dataclass(slots=True)
class Neighbour:
    """A station: where it is, and when it was last heard under this address."""

    port: Port
    mac: bytes
    seen: float


class Neighbours:
    """The stations of a network by their addresses of 4 or 16 bytes."""

    __slots__ = ("_by_port", "_known", "_limits", "_network", "_reserved")

    def __init__(self, network: Network, limits: Limits) -> None:
        self._network = network
        self._limits = limits
        self._known: dict[bytes, Neighbour] = {}
        self._by_port: defaultdict[Port, dict[bytes, None]] = defaultdict(dict)  # oldest first
        self._reserved: dict[bytes, bytes] = {}

    def reserve(self, ip: bytes, mac: bytes) -> None:
        """Only the station with this MAC may have `ip`; an empty one lets it go."""
        if not mac:
            self._reserved.pop(ip, None)
            return
        self._reserved[ip] = mac
        known = self._known.get(ip)
        if known is not None and known.mac != mac:
            self._drop(ip)

    def find(self, ip: bytes) -> Neighbour | None:
        """The station with this address, if it has been heard."""
        return self._known.get(ip)

    def heard(self, ip: bytes, port: Port, mac: bytes, now: float) -> bool | None:
        """A station speaks as `ip`. True: it is new; None: well known; False: it may not."""
        known = self._known.get(ip)
        if known is not None and known.port is port and known.mac == mac:
            known.seen = now
            return None
        if not self._may_have(ip, mac):
            return False
        if known is not None and now - known.seen < self._limits.neighbour_s:
            if known.port is not port:
                return False
            known.mac, known.seen = mac, now  # a new card in the same machine
            return True
        if known is not None:
            self._drop(ip)
        self._make_room(port)
        self._known[ip] = Neighbour(port, mac, now)
        self._by_port[port][ip] = None
        return True

    def _may_have(self, ip: bytes, mac: bytes) -> bool:
        if ip in self._network.ours or address.is_multicast(ip) or not any(ip):
            return False
        if not self._network.on_link(ip) or self._network.is_broadcast(ip):
            return False
        return self._reserved.get(ip, mac) == mac

    def _make_room(self, port: Port) -> None:
        own = self._by_port[port]
        if len(own) >= self._limits.addresses:
            self._drop(min(own, key=lambda ip: self._known[ip].seen))

    def _drop(self, ip: bytes) -> None:
        del self._by_port[self._known.pop(ip).port][ip]

    def forget(self, port: Port) -> None:
        """A port was removed, with all stations on it."""
        for ip in self._by_port.pop(port, ()):
            del self._known[ip]

    def answers_for(self, ip: bytes) -> bool:
        """Whether questions for `ip` are ours to answer."""
        if address.is_multicast(ip) or not any(ip):
            return False
        return ip in self._network.ours or not self._network.on_link(ip)

    def answer_arp(self, port: Port, packet: Arp) -> None:
        """Answer an ARP request if it is ours to answer."""
        if packet.operation != Operation.REQUEST or packet.sender_ip == packet.target_ip:
            return
        if self.answers_for(packet.target_ip):
            mac = self._network.mac
            reply = Arp(
                Operation.REPLY, mac, packet.target_ip, packet.sender_mac, packet.sender_ip
            )  # fmt: skip
            frame = Frame(packet.sender_mac, mac, EtherType.ARP, reply.emit())
            port.send_plain(frame.emit())

    def answer_solicitation(self, port: Port, mac: bytes, source: bytes, target: bytes) -> None:
        """Answer a neighbour solicitation if it is ours to answer."""
        if not self.answers_for(target):
            return
        unspecified = not any(source)  # somebody makes sure that the address is free
        destination = address.ALL_NODES_IPV6 if unspecified else source
        link = address.multicast_mac(destination) if unspecified else mac
        message = ndp.Advertisement(
            target, self._network.mac, router=True, solicited=not unspecified, override=False
        ).message()  # fmt: skip
        send_icmpv6(port, self._network.mac, link, target, destination, message)

    def ask(self, port: Port, ip: bytes) -> None:
        """Ask the stations on a port who has `ip`; what they answer is `heard`."""
        mac, source = self._network.mac, self._network.source_for(ip)
        if len(ip) == 4:
            request = Arp(Operation.REQUEST, mac, source, bytes(6), ip)
            frame = Frame(address.BROADCAST_MAC, mac, EtherType.ARP, request.emit())
            port.send_plain(frame.emit())
            return
        group = address.solicited_node(ip)
        message = ndp.Solicitation(ip, mac).message()
        send_icmpv6(port, mac, address.multicast_mac(group), source, group, message)


def send_icmpv6(
    port: Port, from_mac: bytes, to_mac: bytes, source: bytes, destination: bytes,
    message: icmpv6.Message,
) -> None:  # fmt: skip
    """Send a message of neighbour discovery, which is never forwarded (RFC 4861, 7.1)."""
    payload = message.emit(source, destination)
    packet = Ipv6(source, destination, ipv4.Protocol.ICMPV6, payload, hop_limit=ndp.HOP_LIMIT)
    port.send_plain(ethernet.Frame(to_mac, from_mac, EtherType.IPV6, packet.emit()).emit())
