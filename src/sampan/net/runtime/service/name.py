"""Which machine has which name, kept up to date in the book that DNS answers from.

A machine has up to three names: the one that its user fixed for its MAC, that of its link, and
the one it gives itself when it asks for an address. They count in this order: what a machine
says of itself never takes a name away from another. Its addresses are those that were leased
to it and those it was heard to speak under, of both families.

It may not know how addresses are given out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sampan.net.core.event import NeighbourLearned
from sampan.net.core.port import Port
from sampan.net.runtime.engine import Engine
from sampan.net.services import hosts
from sampan.net.services.lease import Lease
from sampan.net.wire.address import format_ip

TABLE = "machines"  # of `hosts.TABLES`
MAX_ADDRESSES = 8
_LINK_LOCAL = b"\xfe\x80"


class Names:
    """The names of machines. `fixed` are names by MAC."""

    def __init__(
        self, engine: Engine, book: hosts.Book, fixed: Mapping[bytes, str], domain: str
    ) -> None:
        self._engine = engine
        self._book = book
        self._fixed = dict(fixed)
        self._domain = domain
        self._leases: tuple[Lease, ...] = ()
        self._heard: dict[bytes, dict[bytes, Port]] = {}
        self._told: hosts.Hosts | None = None
        engine.observe(NeighbourLearned, self._learned)
        self._tell()

    def _learned(self, each: NeighbourLearned, _: float) -> None:
        """Where somebody was heard is a machine."""
        if each.address[:2] == _LINK_LOCAL:
            return
        addresses = self._heard.setdefault(each.mac, {})
        addresses.pop(each.address, None)
        addresses[each.address] = each.port
        if len(addresses) > MAX_ADDRESSES:
            del addresses[next(iter(addresses))]
        self._tell()

    def fix(self, mac: bytes, name: str) -> None:
        """Call a machine by this name."""
        self._fixed[mac] = name
        self._tell()

    def unfix(self, mac: bytes) -> None:
        """It has no such name any more."""
        if self._fixed.pop(mac, None) is not None:
            self._tell()

    def leased(self, leases: tuple[Lease, ...]) -> None:
        """These are all the leases there are now."""
        self._leases = leases
        self._tell()

    def refresh(self) -> None:
        """A link is gone: so are its machines."""
        plugs = self._engine.plugs
        for mac, addresses in list(self._heard.items()):
            kept = {ip: port for ip, port in addresses.items() if port in plugs}
            if kept:
                self._heard[mac] = kept
            else:
                del self._heard[mac]
        self._tell()

    @property
    def fixed(self) -> dict[bytes, str]:
        """The names that were fixed, by MAC."""
        return dict(self._fixed)

    def addresses(self, mac: bytes) -> tuple[bytes, ...]:
        """What a machine is reached under, the leased one first."""
        leased = [each.ip for each in self._leases if each.mac == mac]
        return tuple(dict.fromkeys([*leased, *self._heard.get(mac, ())]))

    def link(self, mac: bytes) -> str:
        """The name of the link where a machine was heard last; empty if it was not."""
        for port in reversed(self._heard.get(mac, {}).values()):
            if port in self._engine.plugs:
                return self._engine.plugs[port].name
        return ""

    def _tell(self) -> None:
        """Write the book's table anew, if it changes."""
        table = hosts.machine_names(self._pairs(), self._domain)
        if table != self._told:
            self._told = table
            self._book.replace(TABLE, table)

    def _pairs(self) -> Iterable[tuple[str, str]]:
        holders: dict[str, bytes] = {}
        for mac, text in self._claims():
            name = hosts.machine_label(text)
            if name:
                holders.setdefault(name, mac)
        for name, mac in holders.items():
            for ip in self.addresses(mac):
                yield name, format_ip(ip)

    def _claims(self) -> Iterable[tuple[bytes, str]]:
        """Who wants to be called what, the most trustworthy first."""
        macs = dict.fromkeys([*(each.mac for each in self._leases), *self._heard])
        yield from self._fixed.items()
        yield from ((mac, self.link(mac)) for mac in macs)
        yield from ((each.mac, each.name) for each in self._leases)
