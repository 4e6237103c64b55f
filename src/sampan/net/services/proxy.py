"""The host's HTTP proxy, used for machines that do not know of it.

`decide` says how a connection that a machine opened goes out: directly, as requests with an
absolute URI to the proxy (`httprequest` rewrites them), or through a tunnel the proxy opens
(`connect`). The name comes from the Host header or from TLS (`sni`); without one the address
stands for it.

Exclusions are those of the usual `NO_PROXY`: `*`, a name (and what is below it), `.suffix`,
`*.suffix`, an address, a CIDR, each perhaps with `:port`.

It may not know the environment; the settings are values, and may change while running.
"""

from __future__ import annotations

import base64
import ipaddress
import urllib.parse
from pathlib import Path

import msgspec

from sampan.errors import UsageError

_MAX_EXCLUDES = 1000
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Proxy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A proxy: where it is, whether it is spoken to over TLS, and the credentials it wants."""

    host: str
    port: int
    tls: bool = False
    authorization: str = ""  # the value of Proxy-Authorization

    @classmethod
    def parse(cls, text: str) -> Proxy:
        """The proxy that `http://user:password@host:3128` names; the scheme may be left out.

        Raises:
            UsageError: it is no such URL.
        """
        try:
            parts = urllib.parse.urlsplit(text if "://" in text else f"http://{text}")
            port = parts.port
        except ValueError:
            raise UsageError(f"{_hidden(text)!r} is not the URL of a proxy") from None
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
            raise UsageError(
                f"{_hidden(text)!r} is not the URL of a proxy", hint="http://host:port"
            )
        authorization = ""
        if parts.username is not None:
            pair = f"{parts.username}:{parts.password or ''}"
            raw = urllib.parse.unquote_to_bytes(pair)
            authorization = "Basic " + base64.b64encode(raw).decode()
        return cls(
            host=parts.hostname,
            port=port or _DEFAULT_PORTS[parts.scheme],
            tls=parts.scheme == "https",
            authorization=authorization,
        )


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The proxies for plain HTTP and for TLS, and what goes past them.

    `certificates` are files of CAs that are trusted, beside the system's, where a proxy itself is
    spoken to over TLS.
    """

    http: Proxy | None = None
    https: Proxy | None = None
    excludes: tuple[str, ...] = ()
    certificates: tuple[Path, ...] = ()

    @classmethod
    def parse(cls, http: str, https: str, exclude: str) -> Settings:
        """Settings from the values of HTTP_PROXY, HTTPS_PROXY and NO_PROXY; empty for none.

        Raises:
            UsageError: a proxy is not a URL.
        """
        words = exclude.replace(",", " ").lower().split()
        return cls(
            http=Proxy.parse(http) if http.strip() else None,
            https=Proxy.parse(https) if https.strip() else None,
            excludes=tuple(words[:_MAX_EXCLUDES]),
        )


class Direct(msgspec.Struct, frozen=True):
    """Connect to where the machine wants to go."""


class AbsoluteUri(msgspec.Struct, frozen=True):
    """Connect to the proxy and send requests with absolute URIs."""

    proxy: Proxy


class Tunnel(msgspec.Struct, frozen=True):
    """Connect to the proxy, send `request`, and pass bytes on after a 2xx answer."""

    proxy: Proxy
    request: bytes


def decide(settings: Settings, name: str, address: str, port: int) -> Direct | AbsoluteUri | Tunnel:
    """How a connection to `port` of `address`, known as `name` (or empty), goes out.

    Only ports 80 and 443 are ever sent to a proxy.
    """
    proxy = {80: settings.http, 443: settings.https}.get(port)
    if proxy is None or _is_excluded(
        settings.excludes, name.lower().removesuffix("."), address, port
    ):
        return Direct()
    if port == 80:
        return AbsoluteUri(proxy)
    return Tunnel(proxy, connect(proxy, name or address, port))


def connect(proxy: Proxy, host: str, port: int) -> bytes:
    """The request that opens a tunnel (RFC 9110, 9.3.6).

    Raises:
        ValueError: the host holds what would end the line.
    """
    if any(byte <= " " or byte == "\x7f" for byte in host):
        raise ValueError(f"{host!r} is no host")
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("ascii", "replace")


def _is_excluded(excludes: tuple[str, ...], name: str, address: str, port: int) -> bool:
    if ipaddress.ip_address(address).is_loopback or name == "localhost":
        return True
    return any(_matches(each, name, address, port) for each in excludes)


def _matches(exclude: str, name: str, address: str, port: int) -> bool:
    if exclude == "*":
        return True
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(exclude, strict=False)
    except ValueError:
        pass  # it is a name, or has a port
    host, colon, only = exclude.rpartition(":")
    if colon and only.isdigit():
        return int(only) == port and _matches(host.strip("[]"), name, address, port)
    suffix = exclude.removeprefix("*").removeprefix(".")
    return bool(suffix) and (name == suffix or name.endswith(f".{suffix}"))


def _hidden(text: str) -> str:
    """`text` without the password that may be in it."""
    head, at, tail = text.rpartition("@")
    return f"…@{tail}" if at and head else text
