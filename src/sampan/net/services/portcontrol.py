"""VPNKit's port control: what a program in a machine asks of the host, and what it may have.

A `Port` is the JSON of VPNKit's HTTP API (go/pkg/vpnkit of its sources, 2017 to 2026): what comes
to `out_ip`:`out_port` of the host goes to `in_ip`:`in_port`, as the machine sees it, or from the
socket `out_path` of the host to `in_path` in the machine. Machines are not trusted with more than
their owner allowed.

It may not know how requests come, or who forwards.
"""

from __future__ import annotations

import ipaddress
from enum import StrEnum
from typing import Annotated

import msgspec

from sampan.errors import UsageError
from sampan.net.services.forward import MAX_PATH, Forward, Protocol

VSOCK_PORT = 0x1002  # of the host, where VPNKit's programs look for it
MAX_GUEST_PATH = 107  # bytes of a Unix socket's path on Linux
UNIX = "unix"
_LOOPBACK = {4: "127.0.0.1", 6: "::1"}
_Number = Annotated[int, msgspec.Meta(ge=0, le=65535)]


class Allowed(StrEnum):
    """Which ports of the host a machine may ask for."""

    NONE = "none"
    LOOPBACK = "loopback"  # those of loopback addresses; who asks for all addresses gets these
    ALL = "all"  # of any address, and sockets at any path where the owner may make some


class Port(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is asked for, in VPNKit's words. What is unknown is let pass, as VPNKit does."""

    proto: str = ""
    out_ip: str = ""
    out_port: _Number = 0
    out_path: str = ""
    in_ip: str = ""
    in_port: _Number = 0
    in_path: str = ""
    annotation: str = ""


def asked(port: Port, allowed: Allowed) -> Forward:
    """The forward that is asked for; with a `path` it leads to the port's `in_path`.

    Raises:
        UsageError: it makes no sense, or is not allowed.
    """
    if allowed is Allowed.NONE:
        raise UsageError("this machine may not ask for ports of the host")
    if port.proto == UNIX:
        return _unix(port, allowed)
    if port.proto not in tuple(Protocol):
        raise UsageError(f"a port of {port.proto[:20]!r} cannot be forwarded: say tcp, udp or unix")
    if port.in_port == 0:
        raise UsageError("the port in the machine is missing")
    inside = _address(port.in_ip or "127.0.0.1", "in the machine")
    outside = _address(port.out_ip or "0.0.0.0", "of the host")
    if allowed is Allowed.LOOPBACK and outside.is_unspecified:
        outside = ipaddress.ip_address(_LOOPBACK[outside.version])
    if allowed is Allowed.LOOPBACK and not outside.is_loopback:
        raise UsageError(f"this machine may ask for ports of loopback addresses, not of {outside}")
    return Forward(
        bind=str(outside),
        port=port.out_port,
        guest=str(inside),
        guest_port=port.in_port,
        protocol=Protocol(port.proto),
    )


def _unix(port: Port, allowed: Allowed) -> Forward:
    if allowed is not Allowed.ALL:
        raise UsageError("this machine may ask for ports of the host, not for sockets in its files")
    for path, limit in ((port.out_path, MAX_PATH), (port.in_path, MAX_GUEST_PATH)):
        size = len(path.encode(errors="surrogatepass"))
        if not path.startswith("/") or "\0" in path or size > limit:
            raise UsageError(f"{path[:200]!r} is no absolute path of at most {limit} bytes")
    return Forward(path=port.out_path, guest_port=0)


def _address(text: str, where: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise UsageError(f"{text[:60]!r} is no address {where}") from None
