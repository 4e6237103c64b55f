"""What a network is to be, from flags: one row for each, into `net.setting.Settings`.

`serve` and `attach` have these flags in common. VPNKit's names stand beside ours where they
mean the same.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from sampan.errors import UsageError

if TYPE_CHECKING:
    from sampan.net.services.dnsmodel import Split
    from sampan.net.services.resolver import Server
    from sampan.net.setting import Fixed, Settings

_MAX_FILE = 1 << 20
_ENVIRONMENT = "env"


class Row(NamedTuple):
    """A flag. `fields` makes fields of the settings of its value, which is a tuple if `multiple`."""

    flags: tuple[str, ...]
    metavar: str
    help: str
    fields: Callable[[Any], dict[str, object]]
    multiple: bool = False
    kind: Any = None  # click's, or a type

    @property
    def name(self) -> str:
        """What click calls the parameter."""
        return "net_" + self.flags[0].removeprefix("--").replace("-", "_")


def _field(name: str) -> Callable[[Any], dict[str, object]]:
    return lambda value: {name: value}


def _path(name: str) -> Callable[[Any], dict[str, object]]:
    return lambda value: {name: Path(value).absolute()}


def _dns(values: tuple[str, ...]) -> dict[str, object]:
    """Resolvers: addresses, `DOMAIN=ADDRESS` for those of one domain, or a file of resolv.conf(5)."""
    import msgspec

    from sampan.net.services import resolver

    found = resolver.Resolver()
    servers: list[Server] = []
    splits: dict[str, list[Server]] = {}
    for value in values:
        domain, equals, address = value.partition("=")
        if equals:
            splits.setdefault(domain, []).append(_server(address))
        elif Path(value).is_file():
            found = resolver.parse(_text(Path(value)))
            servers += found.servers
        else:
            servers.append(_server(value))
    said: dict[str, object] = {"splits": tuple(_split(*each) for each in splits.items())}
    if servers:
        said["resolver"] = msgspec.structs.replace(found, servers=tuple(servers))
    return said


def _server(text: str) -> Server:
    from sampan.net.services.resolver import Server
    from sampan.net.wire.address import parse_ip

    found = re.fullmatch(r"\[([^\]]+)\](?::(\d+))?|([^:\[]+)(?::(\d+))?|(.*)", text)
    assert found is not None  # the last alternative takes anything
    address, port = found[1] or found[3] or found[5], found[2] or found[4] or "53"
    try:
        parse_ip(address)
        if not 0 < int(port) < 1 << 16:
            raise ValueError(port)
    except ValueError:
        raise UsageError(
            f"--dns {text}: neither the address of a resolver nor a file",
            hint="say 192.0.2.53, 192.0.2.53:5353, corp.example=10.0.0.53, or name a resolv.conf",
        ) from None
    return Server(address, int(port))


def _split(domain: str, servers: list[Server]) -> Split:
    from sampan.net.services.dnsmodel import Split

    return Split(domain, tuple(servers))


def _hosts(values: tuple[str, ...]) -> dict[str, object]:
    """Files that are there: one that comes later is followed, one misspelt would never be missed."""
    for each in values:
        if not Path(each).exists():
            raise UsageError(f"--hosts {each}: there is no such file", hint="an empty one will do")
    return {"hosts_files": tuple(Path(each).absolute() for each in values)}


def _publish(values: tuple[str, ...]) -> dict[str, object]:
    from sampan.cli.net.forward import parse

    return {"forwards": parse(values)}


def _fix(values: tuple[str, ...]) -> dict[str, object]:
    return {"fixed": tuple(map(_fixed, values))}


def _fixed(text: str) -> Fixed:
    from sampan.net.setting import Fixed

    mac, equals, rest = text.partition("=")
    address, _, name = rest.partition(",")
    if not equals:
        raise UsageError(f"--fix {text}: it is not MAC=ADDRESS or MAC=ADDRESS,NAME")
    return Fixed(mac=mac, address=address, name=name)


def _proxy(value: str, environment: Mapping[str, str] = os.environ) -> dict[str, object]:
    """The proxy of a URL, of the environment, or of VPNKit's JSON file (`http`, `https`, `exclude`)."""
    from sampan.net.services.proxy import Settings

    def variable(name: str) -> str:
        return environment.get(name.lower()) or environment.get(name) or ""

    if value == _ENVIRONMENT:
        proxy = Settings.parse(
            variable("HTTP_PROXY"), variable("HTTPS_PROXY"), variable("NO_PROXY")
        )
    elif Path(value).is_file():
        said = _json(Path(value))
        proxy = Settings.parse(*(str(said.get(key) or "") for key in ("http", "https", "exclude")))
    elif "/" in value and "://" not in value:
        raise UsageError(f"--proxy {value}: there is no such file")
    else:
        proxy = Settings.parse(value, value, "")
    return {"proxy": proxy}


def _names(field: str) -> Callable[[str], dict[str, object]]:
    return lambda value: {field: tuple(filter(None, map(str.strip, value.split(","))))}


def _gateway_forwards(value: str) -> dict[str, object]:
    from sampan.net.services import gateway

    try:
        return {"gateway_forwards": gateway.parse(_text(Path(value)).encode())}
    except UsageError as error:
        raise UsageError(f"{value}: {error.message}", hint=error.hint) from None


def _dhcp(value: str) -> dict[str, object]:
    """VPNKit's JSON file: `searchDomains` and `domainName`."""
    said = _json(Path(value))
    found: dict[str, object] = {}
    if isinstance(said.get("searchDomains"), list):
        found["search"] = tuple(map(str, said["searchDomains"]))
    if said.get("domainName"):
        found["domain"] = str(said["domainName"])
    return found


def _json(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not JSON: {error}") from None
    if not isinstance(said, dict):
        raise UsageError(f"{path}: not an object of JSON")
    return said


def _text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return stream.read(_MAX_FILE).decode(errors="replace")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


ROWS = (
    Row(("--subnet",), "NETWORK", "Addresses of the network.  [default: 192.168.65.0/24]",
        _field("subnet")),
    Row(("--gateway", "--gateway-ip"), "ADDRESS", "The gateway's.  [default: the first]",
        _field("gateway")),
    Row(("--host-ip",), "ADDRESS", "What stands for this host.  [default: the last but one]",
        _field("host")),
    Row(("--lowest-ip",), "ADDRESS", "The first that DHCP gives.", _field("lowest")),
    Row(("--highest-ip",), "ADDRESS", "The last that DHCP gives.", _field("highest")),
    Row(("--prefix6",), "NETWORK", "A /64 for IPv6; empty for none.", _field("prefix6")),
    Row(("--mtu",), "BYTES", "Of the links.  [default: 1500; attach: 65520]", _field("mtu"),
        kind=int),
    Row(("--fix",), "MAC=ADDRESS[,NAME]", "A machine's own address, and name; repeat.", _fix,
        multiple=True),
    Row(("--publish", "-p"), "[BIND:]PORT:[GUEST:]PORT[/udp]",
        "Forward a port of this host to a machine; repeat.", _publish, multiple=True),
    Row(("--dns",), "[DOMAIN=]ADDRESS|FILE",
        "Ask this resolver, for all names or those of a domain; or those of a resolv.conf; "
        "repeat.  [default: what this host asks]", _dns, multiple=True),
    Row(("--hosts",), "FILE", "More names, as in hosts(5); followed; repeat.  [default: /etc/hosts]",
        _hosts, multiple=True),
    Row(("--domain",), "NAME", "What machines' names are below.  [default: sampan.internal]",
        _field("domain")),
    Row(("--host-names",), "NAME,…", "More names of this host.", _names("host_names")),
    Row(("--gateway-names",), "NAME,…", "More names of the gateway.", _names("gateway_names")),
    Row(("--gateway-forwards",), "FILE", "VPNKit's JSON file of ports of the gateway that lead to "
        "addresses as this host reaches them.", _gateway_forwards),
    Row(("--search",), "DOMAIN", "A search domain for machines; repeat.", _field("search"),
        multiple=True),
    Row(("--dhcp",), "FILE", "VPNKit's JSON file of search domains and domain.", _dhcp),
    Row(("--host-access",), "loopback|none|all",
        "What machines reach of this host: its loopback interface by the host's name, nothing, "
        "or its other addresses too.  [default: all]", _field("host_access"),
        kind=click.Choice(["loopback", "none", "all"])),
    Row(("--policy",), "FILE", "What machines may reach: rules in YAML; read again when it changes.",
        _path("policy_file")),
    Row(("--proxy", "--http"), "URL|env|FILE",
        "Send machines' HTTP and TLS through this proxy, that of the environment, or that of "
        "VPNKit's JSON file.", _proxy),
    Row(("--leases",), "FILE", "Keep leases here, over restarts.", _path("leases_file")),
    Row(("--http-view",), "", "Follow HTTP, to be seen by events; costs some speed.",
        _field("http_view"), kind=bool),
    Row(("--sleepy",), "", "Sleep at once between a question and its answer: saves processor time, "
        "round trips take longer.", lambda value: {"wakeful": not value}, kind=bool),
    Row(("--har",), "FILE", "Write the HTTP that passes as an HTTP archive.", _path("har_file")),
    Row(("--port-max-idle-time",), "SECONDS", "End UDP flows that are idle for so long.",
        _field("idle_s"), kind=click.FloatRange(min=1)),
    Row(("--max-connections",), "N", "Of one machine at a time.", _field("max_connections"),
        kind=click.IntRange(min=1)),
    Row(("--dns-rate",), "N", "Questions about names of one machine that are passed on in a second; "
        "more are answered with a failure.  [default: 500]", _field("names_per_s"),
        kind=click.IntRange(min=1)),
)  # fmt: skip


def options(
    command: Callable[..., Any], *, only: frozenset[str] | None = None
) -> Callable[..., Any]:
    """Give a command the flags of all rows, and what they say as `wanted`: fields by name.

    With `only`, those rows whose first flags these are.
    """
    rows = [row for row in ROWS if only is None or row.flags[0] in only]

    @functools.wraps(command)
    def gathered(
        *args: Any,  # noqa: ANN401
        no_proxy: str | None,
        proxy_ca: tuple[Path, ...],
        **given: Any,  # noqa: ANN401
    ) -> object:
        fields: dict[str, object] = {}
        for row in rows:
            value = given.pop(row.name)
            if value is not None and value != ():
                fields |= row.fields(value)
        return command(*args, wanted=_proxied(fields, no_proxy, proxy_ca), **given)

    wrapped = click.option(
        "--proxy-ca", metavar="FILE", multiple=True, type=click.Path(path_type=Path),
        help="CAs that are trusted beside the system's, for an https:// proxy; repeat.",
    )(gathered)  # fmt: skip
    wrapped = click.option(
        "--no-proxy", metavar="LIST", help="What goes past the proxy: names, addresses, networks."
    )(wrapped)
    for row in reversed(rows):
        if row.kind is bool:
            wrapped = click.option(*row.flags, row.name, is_flag=True, default=None, help=row.help)(wrapped)  # fmt: skip
        else:
            wrapped = click.option(
                *row.flags, row.name, metavar=row.metavar, help=row.help, multiple=row.multiple,
                type=row.kind,
            )(wrapped)  # fmt: skip
    return wrapped


def _proxied(
    fields: dict[str, object], no_proxy: str | None, certificates: tuple[Path, ...]
) -> dict[str, object]:
    """`fields` with what is said about the proxy elsewhere, if there is one."""
    import msgspec

    from sampan.net.services.proxy import Settings

    proxy = fields.get("proxy")
    if not isinstance(proxy, Settings):
        return fields
    if no_proxy is not None:
        words = Settings.parse("", "", no_proxy).excludes
        proxy = msgspec.structs.replace(proxy, excludes=words)
    if certificates:
        files = tuple(each.absolute() for each in certificates)
        proxy = msgspec.structs.replace(proxy, certificates=files)
    return {**fields, "proxy": proxy}


def build(wanted: dict[str, object], **defaults: object) -> Settings:
    """The settings of the fields that flags gave, checked.

    A gateway without a subnet is that of the /24 around it, as VPNKit has it.

    Raises:
        UsageError: they make no sense together.
    """
    import ipaddress

    from sampan.net.setting import Settings, addresses

    fields = {**defaults, **wanted}
    if "gateway" in fields and "subnet" not in fields:
        try:
            fields["subnet"] = str(ipaddress.ip_network(f"{fields['gateway']}/24", strict=False))
        except ValueError:
            raise UsageError(f"--gateway {fields['gateway']}: not an IPv4 address") from None
    found = Settings(**fields)  # type: ignore[arg-type]  # the rows know the types
    addresses(found)
    return found
