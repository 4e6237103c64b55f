"""Ports of the gateway that lead out of the network: VPNKit's `--gateway-forwards`.

A machine that speaks to such a port reaches an address as the host reaches it, its loopback
included: whoever runs the network says so, whatever else machines may reach of the host.

The file is JSON, a list of objects with VPNKit's keys. It may not know where it came from.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from sampan.errors import UsageError
from sampan.net.wire.address import parse_ip

MAX_FORWARDS = 1024


class Protocol(StrEnum):
    """What is forwarded."""

    TCP = "tcp"
    UDP = "udp"


class GatewayForward(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Port `external_port` of the gateway leads to `internal_port` of `internal_ip`."""

    protocol: Protocol = Protocol.TCP
    external_port: int
    internal_ip: str
    internal_port: int


def parse(data: bytes) -> tuple[GatewayForward, ...]:
    """The forwards of a file.

    Raises:
        UsageError: it is no such file, or something in it is no port or address.
    """
    try:
        found = msgspec.json.decode(data, type=tuple[GatewayForward, ...])
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UsageError(
            f"these are no forwards of the gateway: {error}",
            hint='[{"protocol": "tcp", "external_port": 80, "internal_ip": "127.0.0.1", '
            '"internal_port": 8080}]',
        ) from None
    if len(found) > MAX_FORWARDS:
        raise UsageError(f"more than {MAX_FORWARDS} forwards of the gateway")
    taken: set[tuple[str, int]] = set()
    for each in found:
        _check(each)
        place = each.protocol, each.external_port
        if place in taken:
            raise UsageError(f"port {each.external_port}/{each.protocol} of the gateway twice")
        taken.add(place)
    return found


def _check(forward: GatewayForward) -> None:
    for port in (forward.external_port, forward.internal_port):
        if not 0 < port < 1 << 16:
            raise UsageError(f"{port} is no port: 1 to 65535")
    try:
        parse_ip(forward.internal_ip)
    except ValueError:
        raise UsageError(f"{forward.internal_ip[:100]!r} is no address") from None
