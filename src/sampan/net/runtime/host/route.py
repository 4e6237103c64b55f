"""Where on the host's side a machine's destination is.

Everybody outside is reached under their own address. The host has an address on the network
(`host.sampan.internal`), which leads to its loopback interface if `HostAccess` allows. Nothing
else leads there: 127.0.0.0/8 and ::1 from a machine are nobody.
"""

from __future__ import annotations

import socket
from collections.abc import Container
from enum import StrEnum
from typing import NamedTuple

from sampan.net.core.network import Network
from sampan.net.runtime.host.address import OwnAddresses

_ANY6, _LOOPBACK6 = bytes(16), bytes(15) + b"\1"
_MAPPED = bytes(10) + b"\xff\xff"  # an IPv4 address in disguise


class HostAccess(StrEnum):
    """What machines may reach of the host itself.

    `none`: nothing. `loopback`: its loopback interface, by the host's name or address on the
    network. `all`: that, and the addresses it has elsewhere, as everybody outside may.
    """

    NONE = "none"
    LOOPBACK = "loopback"
    ALL = "all"


class Target(NamedTuple):
    """An address for `connect`."""

    family: int
    address: str


_LOOPBACKS = {
    "127.0.0.1": Target(socket.AF_INET6, "::1"),
    "::1": Target(socket.AF_INET, "127.0.0.1"),
}


def other_loopback(target: Target) -> Target | None:
    """The host's loopback interface by the other family, for a target that is it by one.

    A machine knows the host by one name with two addresses, and many programs try one only;
    servers of the host often listen at one only.
    """
    return _LOOPBACKS.get(target.address)


class Router:
    """Finds targets. `host` are the host's addresses on the network, `own` those it has elsewhere."""

    def __init__(
        self,
        network: Network,
        host: frozenset[bytes],
        access: HostAccess,
        own: Container[bytes] | None = None,
    ) -> None:
        self.network = network
        self.host = host
        self.access = access
        self.own: Container[bytes] = OwnAddresses() if own is None else own

    def target(self, address: bytes) -> Target | None:
        """Where `address` leads; None: nowhere that a machine may go."""
        six = len(address) == 16
        family = socket.AF_INET6 if six else socket.AF_INET
        if address in self.host:
            if self.access is HostAccess.NONE:
                return None
            return Target(family, "::1" if six else "127.0.0.1")
        if address in self.network.ours or not is_global_unicast(address):
            return None
        if self.access is not HostAccess.ALL and address in self.own:
            return None
        return Target(family, socket.inet_ntop(family, address))


def is_global_unicast(address: bytes) -> bool:
    """Whether an address may be outside at all: no loopback, multicast, link-local or "any"."""
    first, second = address[0], address[1]
    if len(address) == 4:
        return not (
            first in (0, 127) or 224 <= first < 240 or (first, second) == (169, 254)
            or address == b"\xff\xff\xff\xff"
        )  # fmt: skip
    return not (
        first == 0xFF or (first == 0xFE and second & 0xC0 == 0x80)
        or address[:12] == _MAPPED or address in (_ANY6, _LOOPBACK6)
    )  # fmt: skip
