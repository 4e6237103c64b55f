"""Fuzz target: the DHCP server, with several messages of one machine."""

from __future__ import annotations

from sampan.net.services.dhcp import Server, Settings
from sampan.net.services.lease import Pool
from sampan.net.wire.address import parse_ip
from sampan.net.wire.dhcpv4 import Dhcp
from sampan.net.wire.error import MalformedError

_SETTINGS = Settings(
    server="192.168.65.1", router="192.168.65.1", resolvers=("192.168.65.1",), search=("a.b",)
)


def one(data: bytes) -> None:
    """Send `data` as it is, then as each type of message.

    Raises:
        AssertionError: a reply cannot be read, or the pool gave one address twice.
    """
    server = Server(_SETTINGS, Pool(parse_ip("192.168.65.3"), parse_ip("192.168.65.9")))
    for kind in range(9):
        message = data[:240] + (bytes([53, 1, kind]) if kind else b"") + data[240:]
        try:
            reply = server.received(message, float(kind), kind)
        except MalformedError:
            continue
        if reply is not None:
            Dhcp.parse(reply.data)
        held = [lease.ip for lease in server.pool.leases(float(kind))]
        if len(set(held)) != len(held):
            raise AssertionError("one address for two machines")
