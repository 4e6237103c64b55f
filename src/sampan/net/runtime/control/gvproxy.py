"""The calls of gvisor-tap-vsock's API, for programs that make those (podman machine, lima …).

Paths, methods and JSON are theirs as of v0.8; the network is ours. `/tunnel` and `/connect` end
HTTP on their connection: it leads to a machine's port, behind the bytes `OK`, or is a link whose
frames go behind their lengths (u16, little endian). Not there: the `npipe` and `ssh-tunnel` kinds
of forwards.
"""

from __future__ import annotations

import urllib.parse
from http import HTTPStatus
from typing import Any

import msgspec

from sampan.errors import UnsupportedError, UsageError
from sampan.net.runtime.control import model
from sampan.net.runtime.control.message import Response, Takeover
from sampan.net.runtime.control.network import Controlled
from sampan.net.runtime.control.route import Nothing, Route
from sampan.net.services import forward as forward_
from sampan.net.services.forward import Forward

_ANYWHERE = "0.0.0.0"  # what they mean by ":8080"
_PREFIX = "/services"


class Exposed(msgspec.Struct, frozen=True, kw_only=True):
    """A forward in their words: `local` and `remote` are `address:port`, or a socket's path."""

    local: str
    remote: str = ""
    protocol: str = "tcp"


class Record(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """A name within a zone."""

    name: str = ""
    ip: str = msgspec.field(name="IP", default="")


class Zone(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Names below a domain, written with its final dot."""

    name: str
    records: list[Record] | None = None
    default_ip: str | None = msgspec.field(name="DefaultIP", default=None)


def _all(network: Controlled, _: Nothing) -> list[Exposed]:
    return [_described(each) for each in network.forwards()]


def _described(forward: Forward) -> Exposed:
    remote = _joined(forward.guest, forward.guest_port)
    if forward.path:
        return Exposed(local=forward.path, remote=f"tcp://{remote}", protocol="unix")
    local = _joined(forward.bind, forward.port)
    return Exposed(local=local, remote=remote, protocol=forward.protocol)


def _expose(network: Controlled, asked: Exposed) -> Response:
    guest, port = _split(_without_scheme(asked), asked.remote)
    target = f"{_bracketed(guest)}:{port}" if guest else port
    network.expose(_parsed(f"{_place(asked)}:{target}", asked))
    return Response()


def _unexpose(network: Controlled, asked: Exposed) -> Response:
    network.unexpose(_parsed(f"{_place(asked)}:1", asked))
    return Response()


def _parsed(text: str, asked: Exposed) -> Forward:
    suffix = "" if asked.protocol == "unix" else f"/{asked.protocol}"
    found = forward_.parse(text + suffix)
    if len(found) != 1:
        raise UsageError(f"{asked.local} is more than one port")
    return found[0]


def _place(asked: Exposed) -> str:
    """Where to listen, as `services.forward` writes it."""
    if asked.protocol == "unix":
        return f"unix:{urllib.parse.urlsplit(asked.local).path}"
    if asked.protocol not in tuple(forward_.Protocol):
        raise UnsupportedError(
            f"a forward of {asked.protocol!r}", "Sampan", "it knows tcp, udp and unix"
        )
    address, port = _split(asked.local, asked.local)
    return f"{_bracketed(address or _ANYWHERE)}:{port}"


def _without_scheme(asked: Exposed) -> str:
    scheme, separator, rest = asked.remote.partition("://")
    if not separator:
        return asked.remote
    if scheme != "tcp":
        raise UnsupportedError(f"a forward to {scheme}://", "Sampan", "it reaches TCP ports")
    return rest


def _split(text: str, whole: str) -> tuple[str, str]:
    address, colon, port = text.rpartition(":")
    if not colon:
        raise UsageError(f"{whole!r} is not of the form ADDRESS:PORT")
    return address.strip("[]"), port


def _joined(address: str, port: int) -> str:
    return f"{_bracketed(address)}:{port}"


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _zones(network: Controlled, _: Nothing) -> list[Zone]:
    """One zone for each domain that a name was added below."""
    zones: dict[str, list[Record]] = {}
    for each in network.names():
        label, _dot, domain = each.name.partition(".")
        records = zones.setdefault(f"{domain}.", [])
        records.extend(Record(name=label, ip=address) for address in each.addresses)
    return [Zone(name=name, records=records) for name, records in zones.items()]


def _add_zone(network: Controlled, asked: msgspec.Raw) -> Response:
    try:
        zone = msgspec.convert(_folded(msgspec.json.decode(asked)), Zone)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UsageError(f"that is no zone: {error}") from None
    if zone.default_ip:
        raise UnsupportedError(
            "a zone's DefaultIP", "Sampan's DNS", "it knows names, not what is left of a domain"
        )
    domain = zone.name.rstrip(".")
    found: dict[str, list[str]] = {}
    for record in zone.records or ():
        if not record.name or not record.ip:
            raise UnsupportedError(
                "a record without Name and IP", "Sampan's DNS", "it knows no patterns"
            )
        found.setdefault(f"{record.name}.{domain}", []).append(record.ip)
    for name, addresses in found.items():
        network.add_name(model.NameRecord(name=name, addresses=tuple(addresses)))
    return Response()


def _folded(value: Any) -> Any:  # noqa: ANN401  JSON
    """Go reads the keys of JSON whatever their case; so must who stands in for it."""
    known = {"name": "Name", "records": "Records", "defaultip": "DefaultIP", "ip": "IP"}
    match value:
        case dict():
            return {known.get(key.lower(), key): _folded(each) for key, each in value.items()}
        case list():
            return [_folded(each) for each in value]
        case _:
            return value


def _leases(network: Controlled, _: Nothing) -> dict[str, str]:
    return {each.address: each.mac for each in network.leases()}


def _cam(network: Controlled, _: Nothing) -> dict[str, int]:
    return {mac: link.id for link in network.links() for mac in link.macs}


def _stats(network: Controlled, _: Nothing) -> dict[str, int]:
    links = network.links()
    return {  # from the switch's side: what machines received, it sent
        "BytesSent": sum(link.received for link in links),
        "BytesReceived": sum(link.sent for link in links),
    }


def _tunnel(network: Controlled, asked: model.TunnelAsked) -> Takeover:
    return network.tunnel(asked)


def _connect(network: Controlled, _: Nothing) -> Takeover:
    return network.connect()


def _row(method: str, path: str, handler: Any, **more: Any) -> Route[Controlled]:  # noqa: ANN401
    return Route(method=method, path=path, summary="As gvproxy's", handler=handler, **more)


ROUTES: tuple[Route[Controlled], ...] = (
    _row("GET", f"{_PREFIX}/forwarder/all", _all, answer=list[Exposed]),
    _row("POST", f"{_PREFIX}/forwarder/expose", _expose, argument=Exposed),
    _row("POST", f"{_PREFIX}/forwarder/unexpose", _unexpose, argument=Exposed),
    _row("GET", f"{_PREFIX}/dns/all", _zones, answer=list[Zone]),
    _row("POST", f"{_PREFIX}/dns/add", _add_zone, argument=msgspec.Raw, status=HTTPStatus.OK),
    _row("GET", f"{_PREFIX}/dhcp/leases", _leases, answer=dict[str, str]),
    _row("GET", "/leases", _leases, answer=dict[str, str]),
    _row("GET", "/cam", _cam, answer=dict[str, int]),
    _row("GET", "/stats", _stats, answer=dict[str, int]),
    *(
        _row(method, "/tunnel", _tunnel, argument=model.TunnelAsked, in_query=True)
        for method in ("POST", "GET")
    ),
    *(_row(method, "/connect", _connect) for method in ("POST", "GET")),
)
