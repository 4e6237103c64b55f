"""A learning switch: frames between the machines of one network (IEEE 802.1D, 7.8, less trees).

A MAC belongs to the port where it was first seen, until that port is removed, or to the last one
that was plugged in for it; frames from it on another port are spoofed and dropped, as are those with
a group address or ours as their source.
A frame for a known station goes to its port, one for a group or nobody known to all others.

It may not know about IP; frames that differ in what their links can do are `offload`'s.
"""

from __future__ import annotations

from sampan.net.core.limit import Limits
from sampan.net.core.offload import adapt
from sampan.net.core.port import Port


class Switch:
    """The ports of a network, and the MACs seen on them."""

    __slots__ = ("_limits", "_own", "ports", "stations")

    def __init__(self, own: bytes, limits: Limits) -> None:
        self._own = own
        self._limits = limits
        self.ports: list[Port] = []
        self.stations: dict[bytes, Port] = {}

    def add(self, port: Port) -> None:
        """A port is there. Its station, if it is to have but one, is nobody else's from now on."""
        self.ports.append(port)
        if port.mac and not port.mac[0] & 1 and port.mac != self._own:
            before = self.stations.get(port.mac)
            if before is not None:  # who used it already was not meant
                before.stations -= 1
            port.stations += 1
            self.stations[port.mac] = port

    def remove(self, port: Port) -> None:
        """A port is gone, with all its stations."""
        self.ports.remove(port)
        self.stations = {mac: each for mac, each in self.stations.items() if each is not port}

    def admits(self, port: Port, source: bytes) -> bool:
        """Whether a station with this MAC may send on `port`; learns it if it is new."""
        known = self.stations.get(source)
        if known is port:
            return True
        if known is not None or source[0] & 1 or source == self._own or not any(source):
            return False
        if port.mac and source != port.mac:
            return False
        if port.stations >= self._limits.addresses:
            return False
        port.stations += 1
        self.stations[source] = port
        return True

    def forward(self, port: Port, destination: bytes, frame: memoryview) -> None:
        """Send a frame that came on `port` to the other ports that it concerns."""
        target = self.stations.get(destination)
        if target is port:
            return
        targets = self.ports if target is None else [target]
        for each in targets:
            if each is not port:
                for data in adapt(frame, port, each):
                    each.send(data)
