"""Which machines are on the network: what was leased, fixed beforehand, or merely heard.

Answers one question, for forwards: at which address is the machine that somebody means?
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sampan.net.core.event import NeighbourLearned
from sampan.net.core.network import Network
from sampan.net.core.port import Port
from sampan.net.wire.address import parse_ip


@dataclass(frozen=True, slots=True)
class Machine:
    """A station. `port` is None as long as it was not heard."""

    mac: bytes
    address: bytes
    port: Port | None = None


class Directory:
    """The machines of a network; `resolve` gives the addresses of a name."""

    def __init__(self, network: Network, resolve: Callable[[str], tuple[bytes, ...]]) -> None:
        self._network = network
        self._resolve = resolve
        self._machines: dict[bytes, Machine] = {}  # by MAC; IPv4 preferred

    @property
    def machines(self) -> tuple[Machine, ...]:
        """All that are known, in the order they came."""
        return tuple(self._machines.values())

    def expect(self, mac: bytes, address: bytes) -> None:
        """A machine will have this address, whenever it comes."""
        self._machines[mac] = Machine(mac, address)

    def heard(self, each: NeighbourLearned, now: float) -> None:
        """A station is there: an observer of the engine."""
        if not self._network.on_link(each.address):
            return
        known = self._machines.get(each.mac)
        if known is not None and len(known.address) == 4 and len(each.address) == 16:
            self._machines[each.mac] = Machine(each.mac, known.address, each.port)
        elif each.address[:2] != b"\xfe\x80":
            self._machines[each.mac] = Machine(each.mac, each.address, each.port)

    def unplugged(self, port: Port) -> None:
        """A link is gone, and its machines with it."""
        for mac, machine in list(self._machines.items()):
            if machine.port is port:
                del self._machines[mac]

    def find(self, name: str) -> bytes | None:
        """The address of a machine by its name or address; "" means the only one there is."""
        if not name:
            machines = self.machines
            return machines[0].address if len(machines) == 1 else None
        try:
            address = parse_ip(name)
        except ValueError:
            return next(iter(self._resolve(name)), None)
        return address if self._network.on_link(address) else None
