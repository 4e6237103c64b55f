"""What a machine may say to other machines of its network: nothing in somebody else's name.

The switch carries frames as they are, so whatever stands between machines stands here. Dropped:

    ARP         that names another station's MAC, or its address
    IP          from an address of ours, or of a station that is another's
    IPv6        advertisements of routers, redirects; of neighbours for addresses that are another's;
                neighbour discovery in fragments (RFC 6980), or behind headers that do not end
    UDP         from the ports of DHCP servers: there is one, and it is the network's
    802.1Q      all: some take a tag of 0 for none

Addresses beyond the network pass, for machines may be routers to one another.

It may not know about the switch. Frames for us are `inbound`'s.
"""

from __future__ import annotations

from sampan.net.core import event
from sampan.net.core.neighbour import Neighbours
from sampan.net.core.network import Network
from sampan.net.core.port import Port
from sampan.net.wire.ethernet import EtherType
from sampan.net.wire.icmpv6 import Kind
from sampan.net.wire.ipv4 import Protocol

_TAGS = (0x8100, 0x88A8)
_DHCP_SERVERS = (67, 547)
_REDIRECT = 137
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _OPTIONS = 0, 43, 44, 60
_DISCOVERY = range(Kind.ROUTER_SOLICITATION, _REDIRECT + 1)
_ARP_LENGTH, _IPV4_LENGTH, _IPV6_LENGTH = 28, 20, 40


class Guard:
    """Looks at frames between machines. Stations it hears of are in `learned`, to be told."""

    __slots__ = ("_neighbours", "_network", "learned")

    def __init__(self, network: Network, neighbours: Neighbours) -> None:
        self._network = network
        self._neighbours = neighbours
        self.learned: list[event.NeighbourLearned] = []

    def admits(self, port: Port, mac: bytes, frame: memoryview, now: float) -> bool:
        """Whether a frame of the station with this MAC may go to others."""
        kind = int.from_bytes(frame[port.head + 12 : port.head + 14], "big")
        data = frame[port.head + 14 :]
        if kind == EtherType.IPV4:
            return (
                len(data) >= _IPV4_LENGTH
                and self._may_speak_as(bytes(data[12:16]), port, mac, now)
                and not _is_dhcp4(data)
            )
        if kind == EtherType.IPV6:
            return len(data) >= _IPV6_LENGTH and self._ipv6(port, mac, data, now)
        if kind == EtherType.ARP:
            return (
                len(data) >= _ARP_LENGTH
                and data[8:14] == mac
                and self._may_speak_as(bytes(data[14:18]), port, mac, now)
            )
        return kind not in _TAGS

    def _may_speak_as(self, address: bytes, port: Port, mac: bytes, now: float) -> bool:
        network = self._network
        if not any(address):  # who has none yet
            return True
        if address not in network.ours and not network.on_link(address):
            return True
        new = self._neighbours.heard(address, port, mac, now)
        if new:
            self.learned.append(event.NeighbourLearned(port, address, mac))
        return new is not False

    def _ipv6(self, port: Port, mac: bytes, data: memoryview, now: float) -> bool:
        if not self._may_speak_as(bytes(data[8:24]), port, mac, now):
            return False
        found = _payload6(data)
        if found is None:
            return False
        protocol, payload, is_fragment = found
        if protocol == Protocol.UDP:
            return not _is_from_server(payload)
        if protocol != Protocol.ICMPV6 or not payload or payload[0] not in _DISCOVERY:
            return True
        if is_fragment or payload[0] in (Kind.ROUTER_ADVERTISEMENT, _REDIRECT):
            return False
        if payload[0] != Kind.NEIGHBOUR_ADVERTISEMENT:
            return True
        target = bytes(payload[8:24])
        return len(target) == 16 and self._may_speak_as(target, port, mac, now)


def _is_dhcp4(data: memoryview) -> bool:
    """Whether an IPv4 packet comes from a DHCP server's port."""
    if data[9] != Protocol.UDP or int.from_bytes(data[6:8], "big") & 0x1FFF:
        return False
    return _is_from_server(data[(data[0] & 15) * 4 :])


def _is_from_server(payload: memoryview) -> bool:
    return int.from_bytes(payload[:2], "big") in _DHCP_SERVERS


def _payload6(data: memoryview) -> tuple[int, memoryview, bool] | None:
    """The protocol behind the extension headers, what it says, and whether that is a fragment.

    None if the headers do not end in this frame. Of a later fragment nothing can be told: the
    protocol is that of no next header.
    """
    protocol, at, is_fragment = data[6], _IPV6_LENGTH, False
    while protocol in (_HOP_BY_HOP, _ROUTING, _FRAGMENT, _OPTIONS):
        if len(data) < at + 8:
            return None
        following = data[at]
        if protocol == _FRAGMENT:
            if int.from_bytes(data[at + 2 : at + 4], "big") >> 3:
                return 59, data[at + 8 :], True
            is_fragment = True
            at += 8
        else:
            at += (data[at + 1] + 1) * 8
        protocol = following
    return (protocol, data[at:], is_fragment) if at <= len(data) else None
