"""Router advertisements: how machines come by IPv6 addresses (RFC 4861, 6.2; RFC 4862).

One to all stations at every interval, three in quick succession at first, and one at once to
whoever asks. Hosts form addresses of their own in our prefix; there is no DHCPv6.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from sampan.net.core.neighbour import send_icmpv6
from sampan.net.core.network import Network
from sampan.net.core.port import Port
from sampan.net.wire import address, ndp
from sampan.net.wire.icmpv6 import Message

INTERVAL_S = 200.0
FIRST_INTERVAL_S = 16.0
FIRST_COUNT = 3
LIFETIME_S = 1800
PREFIX_LIFETIME_S = 86400


class Advertiser:
    """Says to every port that we are the router. Silent on a network without IPv6."""

    __slots__ = ("_network", "_sent", "_when")

    def __init__(self, network: Network) -> None:
        self._network = network
        self._sent = 0
        self._when = 0.0 if network.prefix6 else math.inf

    def next_timer(self) -> float:
        """When the next advertisement is due."""
        return self._when

    def timer_fired(self, now: float, ports: Sequence[Port]) -> None:
        """Advertise to all ports, if it is time."""
        if now >= self._when:
            for port in ports:
                self.advertise(port)
            self._sent += 1
            self._when = now + (FIRST_INTERVAL_S if self._sent < FIRST_COUNT else INTERVAL_S)

    def advertise(self, port: Port) -> None:
        """Advertise to one port: it is new, or somebody on it asked."""
        network = self._network
        if network.prefix6:
            group = address.ALL_NODES_IPV6
            link = address.multicast_mac(group)
            message = self._message(port)
            send_icmpv6(port, network.mac, link, network.link_local6, group, message)

    def _message(self, port: Port) -> Message:
        network = self._network
        return ndp.RouterAdvertisement(
            mac=network.mac,
            lifetime_s=LIFETIME_S,
            prefix=network.prefix6 + bytes(8),
            prefix_lifetime_s=PREFIX_LIFETIME_S,
            mtu=port.mtu,
            resolvers=network.resolvers6,
            resolver_lifetime_s=LIFETIME_S,
        ).message()
