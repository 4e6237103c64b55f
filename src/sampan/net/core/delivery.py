"""Packets of ours on their way to a station: headers, and fragments where they are too large.

For what is rare or small (ICMP, services, datagrams beyond the MTU); flows have templates.
"""

from __future__ import annotations

from sampan.net.core.fragment import cut4, cut6
from sampan.net.core.network import Network
from sampan.net.core.port import Port
from sampan.net.wire import ipv4, udp
from sampan.net.wire.ethernet import EtherType, Frame
from sampan.net.wire.ipv4 import Ipv4
from sampan.net.wire.ipv6 import Ipv6


class Delivery:
    """Sends packets; counts their identifications."""

    __slots__ = ("_network", "_serial")

    def __init__(self, network: Network) -> None:
        self._network = network
        self._serial = 0

    def packet(
        self, port: Port, mac: bytes, source: bytes, destination: bytes, protocol: int,
        payload: bytes, hop_limit: int = ipv4.DEFAULT_HOP_LIMIT,
    ) -> None:  # fmt: skip
        """Send one packet to the station with `mac` on `port`."""
        self._serial = self._serial % 0xFFFF + 1
        if len(source) == 4:
            whole4 = Ipv4(source, destination, protocol, payload, hop_limit, self._serial)
            for piece4 in cut4(whole4, port.mtu):
                self._frame(port, mac, EtherType.IPV4, piece4.emit())
            return
        whole6 = Ipv6(
            source, destination, protocol, payload, hop_limit, identification=self._serial
        )  # fmt: skip
        for piece6 in cut6(whole6, port.mtu):
            self._frame(port, mac, EtherType.IPV6, piece6.emit())

    def _frame(self, port: Port, mac: bytes, kind: int, data: bytes) -> None:
        port.send_plain(Frame(mac, self._network.mac, kind, data).emit())

    def datagram(
        self, port: Port, mac: bytes, source: tuple[bytes, int], destination: tuple[bytes, int],
        payload: bytes,
    ) -> None:  # fmt: skip
        """Send one UDP datagram to the station with `mac` on `port`."""
        data = udp.Udp(source[1], destination[1], payload).emit(source[0], destination[0])
        self.packet(port, mac, source[0], destination[0], ipv4.Protocol.UDP, data)
