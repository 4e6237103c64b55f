"""One virtual network, as its user describes it: a frozen value, checked as a whole.

Addresses are text. What is empty is derived from the subnet: its first address is the gateway's,
the last but one stands for the host, machines get those in between.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path

import msgspec

from sampan.errors import UsageError
from sampan.net.core.limit import Limits
from sampan.net.core.network import Network
from sampan.net.services.dnsmodel import Split
from sampan.net.services.forward import Forward
from sampan.net.services.gateway import GatewayForward
from sampan.net.services.hosts import DOMAIN
from sampan.net.services.policy import Policy
from sampan.net.services.proxy import Settings as ProxySettings
from sampan.net.services.resolver import Resolver
from sampan.net.wire.address import parse_ip, parse_mac
from sampan.net.wire.dns import parse_name

MIN_MTU, MAX_MTU = 576, 65520
METADATA_ADDRESS = "169.254.169.254"


class Fixed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A machine whose address is decided beforehand, by its MAC."""

    mac: str
    address: str
    name: str = ""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a network is.

    Attributes:
        subnet: IPv4 addresses, with the length of their prefix (at most 29).
        gateway, host: our addresses; `host` stands for the host's loopback interface.
        lowest, highest: what machines are given by DHCP.
        prefix6: a /64 for IPv6 by router advertisements; empty for none.
        mtu: of the links, 576 to 65520.
        domain, search: what DHCP tells of names.
        resolver: whom the DNS forwarder asks; None follows the host's configuration.
        splits: domains with servers of their own.
        hosts_files: more names, in the form of hosts(5); followed as they change.
        host_names, gateway_names: names of the host and the gateway, beside the usual ones.
        gateway_forwards: ports of the gateway that lead to addresses of the host's side.
        fixed: addresses known beforehand.
        host_access: "loopback", "none" or "all"; see `runtime.host.route.HostAccess`.
        policy: what machines may reach.
        policy_file: where that stands instead; read again when it changes.
        proxy: the host's HTTP proxies; None uses none.
        forwards: ports of the host that lead to machines, from the beginning.
        leases_file: where leases survive a restart; None: they do not.
        idle_s: after how many seconds without a datagram a UDP flow ends.
        max_connections: how many TCP connections one link may have.
        names_per_s: how many questions about names are passed on for one link in a second.
        http_view: follow HTTP in clear-text flows, so that it can be seen; costs some speed.
        wakeful: while questions and answers follow each other at once, do not sleep in between;
            they take a third less time then, for up to a processor.
        har_file: where what is followed is written, as an HTTP archive; implies `http_view`.
    """

    subnet: str = "192.168.65.0/24"
    gateway: str = ""
    host: str = ""
    lowest: str = ""
    highest: str = ""
    prefix6: str = "fdc0:a841:6500::/64"
    mtu: int = 1500
    domain: str = DOMAIN
    search: tuple[str, ...] = ()
    resolver: Resolver | None = None
    splits: tuple[Split, ...] = ()
    hosts_files: tuple[Path, ...] = (Path("/etc/hosts"),)
    host_names: tuple[str, ...] = ()
    gateway_names: tuple[str, ...] = ()
    gateway_forwards: tuple[GatewayForward, ...] = ()
    fixed: tuple[Fixed, ...] = ()
    host_access: str = "all"
    policy: Policy = Policy()
    policy_file: Path | None = None
    proxy: ProxySettings | None = None
    forwards: tuple[Forward, ...] = ()
    leases_file: Path | None = None
    idle_s: float = 60.0
    max_connections: int = 4096
    names_per_s: int = 500
    http_view: bool = False
    wakeful: bool = True
    har_file: Path | None = None


class Addresses(msgspec.Struct, frozen=True, kw_only=True):
    """The addresses of a network, as bytes; what `Settings` left open is decided."""

    gateway: bytes
    host: bytes
    lowest: bytes
    highest: bytes
    prefix_length: int
    prefix6: bytes
    fixed: tuple[tuple[bytes, bytes], ...]

    @property
    def host6(self) -> bytes:
        """What stands for the host in IPv6; empty without IPv6."""
        return self.prefix6 + bytes(7) + b"\xfe" if self.prefix6 else b""


def addresses(settings: Settings) -> Addresses:
    """The addresses that `settings` mean.

    Raises:
        UsageError: one is none, or lies outside the subnet, or is another's.
    """
    subnet = _subnet(settings.subnet)
    base, last = int(subnet.network_address), int(subnet.broadcast_address)
    found = {
        name: _inside(text, subnet, name) if text else (base + offset).to_bytes(4, "big")
        for name, text, offset in (
            ("gateway", settings.gateway, 1),
            ("host", settings.host, last - base - 1),
            ("lowest", settings.lowest, 3),
            ("highest", settings.highest, last - base - 2),
        )
    }
    if found["gateway"] == found["host"]:
        raise UsageError("the gateway and the host have the same address")
    if not settings.mtu or not MIN_MTU <= settings.mtu <= MAX_MTU:
        raise UsageError(f"an MTU of {settings.mtu} is not from {MIN_MTU} to {MAX_MTU}")
    for name in (*settings.host_names, *settings.gateway_names):
        _check_name(name)
    return Addresses(
        **found,
        prefix_length=subnet.prefixlen,
        prefix6=_prefix6(settings.prefix6),
        fixed=tuple(
            (parse_station(each.mac), _fixed(each.address, subnet, found))
            for each in settings.fixed
        ),
    )


def _check_name(text: str) -> None:
    try:
        if parse_name(text):
            return
    except ValueError:
        pass  # the same as the empty one
    raise UsageError(f"{text!r} is no name that DNS could answer")


def fixed_address(settings: Settings, text: str) -> bytes:
    """An address that a machine of the network may have.

    Raises:
        UsageError: it is none, or lies outside the subnet, or is the gateway's or the host's.
    """
    found = addresses(settings)
    return _fixed(text, _subnet(settings.subnet), {"gateway": found.gateway, "host": found.host})


def network(settings: Settings) -> Network:
    """The stack's view of a network.

    Raises:
        UsageError: as `addresses`.
    """
    found = addresses(settings)
    local = {found.gateway, found.host, parse_ip(METADATA_ADDRESS)}
    if found.prefix6:
        local.add(found.host6)
    return Network(
        gateway=found.gateway,
        prefix_length=found.prefix_length,
        prefix6=found.prefix6,
        local=frozenset(local),
        mtu=settings.mtu,
        resolvers6=(found.prefix6 + bytes(7) + b"\1",) if found.prefix6 else (),
    )


def limits(settings: Settings) -> Limits:
    """The stack's bounds."""
    return Limits(
        flows=settings.max_connections,
        udp_idle_s=settings.idle_s,
        names_per_s=settings.names_per_s,
    )


def _subnet(text: str) -> ipaddress.IPv4Network:
    try:
        found = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise UsageError(
            f"{text!r} is no IPv4 subnet: {error}", hint="say, for instance, 192.168.65.0/24"
        ) from None
    if not 8 <= found.prefixlen <= 29:
        raise UsageError(f"the subnet {text} is not from /8 to /29")
    return found


def _inside(text: str, subnet: ipaddress.IPv4Network, name: str) -> bytes:
    try:
        found = ipaddress.IPv4Address(text)
    except ValueError:
        raise UsageError(f"the {name} {text!r} is no IPv4 address") from None
    if found not in subnet or found in (subnet.network_address, subnet.broadcast_address):
        raise UsageError(f"the {name} {text} is no address of a station in {subnet}")
    return found.packed


def _fixed(text: str, subnet: ipaddress.IPv4Network, taken: dict[str, bytes]) -> bytes:
    address = _inside(text, subnet, "fixed address")
    for name in ("gateway", "host"):
        if address == taken[name]:
            raise UsageError(f"the fixed address {text} is that of the {name}")
    return address


def parse_station(text: str) -> bytes:
    """The MAC address that `text` is.

    Raises:
        UsageError: it is none.
    """
    try:
        return parse_mac(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no MAC address") from error


def _prefix6(text: str) -> bytes:
    if not text:
        return b""
    try:
        found = ipaddress.IPv6Network(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no IPv6 prefix: {error}") from None
    if found.prefixlen != 64:
        raise UsageError(f"the IPv6 prefix {text} is not a /64")
    return found.network_address.packed[:8]
