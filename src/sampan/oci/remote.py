"""How registries are reached: mirrors, certificates, plain HTTP, credentials, proxies.

A settings value that the command line (or an embedding program) fills in; nothing here reads
the environment, opens a file or talks to anybody.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Self
from urllib.parse import SplitResult, urlsplit

import msgspec

from sampan.errors import UsageError
from sampan.oci.reference import DEFAULT_REGISTRY

ANY_REGISTRY = "*"
_DOCKER_HOST = "registry-1.docker.io"
_DOCKER_NAMES = frozenset({DEFAULT_REGISTRY, "index.docker.io", _DOCKER_HOST})
_IS_HOST = re.compile(r"(?:[A-Za-z0-9_.-]+|\[[A-Fa-f0-9:]+\])(?::[0-9]{1,5})?")
_IS_PREFIX = re.compile(r"(?:[a-z0-9._-]+(?:/[a-z0-9._-]+)*)?")


def registry_name(host: str) -> str:
    """The registry a host stands for: Docker's has several names."""
    return DEFAULT_REGISTRY if host in _DOCKER_NAMES else host


def is_loopback(host: str) -> bool:
    """Whether `host` (with or without port) is this computer, seen without asking anybody."""
    name = host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class Endpoint(msgspec.Struct, frozen=True):
    """A server that speaks the distribution API.

    `scheme` is `http`, `https`, or empty: a loopback host that has to be asked which it speaks.
    `prefix` goes before every repository's name. `registry` is what people call the server.
    """

    host: str
    scheme: str
    registry: str
    prefix: str = ""


class Mirror(msgspec.Struct, frozen=True):
    """A server to ask before the registry itself; `registry` is a name, or `*` for all."""

    registry: str
    scheme: str
    host: str
    prefix: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The mirror `[REGISTRY=]http(s)://HOST[:PORT][/PREFIX]`; without REGISTRY it is for all.

        Raises:
            UsageError: `text` has another form.
        """
        name, equals, address = text.partition("=")
        if not equals or "://" in name:
            name, address = ANY_REGISTRY, text
        parts = _split(address)
        prefix = parts.path.strip("/") if parts else ""
        if (
            parts is None
            or parts.scheme not in {"http", "https"}
            or not _IS_HOST.fullmatch(parts.netloc)
            or not _IS_PREFIX.fullmatch(prefix)
            or parts.query
            or parts.fragment
            or not (name == ANY_REGISTRY or _IS_HOST.fullmatch(name))
        ):
            raise UsageError(
                f"{text!r} is not a mirror",
                hint="write it as https://HOST or REGISTRY=https://HOST",
            )
        return cls(registry_name(name), parts.scheme, parts.netloc, prefix)


class Login(msgspec.Struct, frozen=True):
    """A user and a password for one registry."""

    registry: str
    user: str
    password: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """The login `REGISTRY=USER:PASSWORD`.

        Raises:
            UsageError: `text` has another form; the error does not repeat the password.
        """
        name, equals, rest = text.partition("=")
        user, colon, password = rest.partition(":")
        if not (equals and colon and user and _IS_HOST.fullmatch(name)):
            raise UsageError(
                "registry credentials have the wrong form", hint="write them as HOST=USER:PASSWORD"
            )
        return cls(registry_name(name), user, password)

    def __repr__(self) -> str:
        return f"Login({self.registry!r}, {self.user!r}, …)"


class Proxy(msgspec.Struct, frozen=True):
    """Proxies by the scheme of what is asked for. `exempt`: hosts, domains, networks, or `*`."""

    http: str = ""
    https: str = ""
    exempt: tuple[str, ...] = ()

    def url(self, scheme: str, host: str) -> str:
        """The proxy to use for `host` (without port), or an empty text for none."""
        if is_loopback(host) or any(_exempts(rule, host) for rule in self.exempt):
            return ""
        return self.https if scheme == "https" else self.http


class Remote(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides how registries are reached.

    Attributes:
        mirrors: asked in this order before a registry when an image is pulled. One whose host
            is the registry itself says how to reach that registry, for pushes too.
        certificates: files of CA certificates to trust besides the system's.
        plain_http: hosts (with port) that may be spoken to without encryption, besides loopback.
        docker_config: Docker's `config.json` with credentials; it need not exist.
        logins: credentials that go before those of `docker_config`.
        proxy: which proxies to use.
        parallel: how many blobs are transferred at the same time.
    """

    mirrors: tuple[Mirror, ...] = ()
    certificates: tuple[Path, ...] = ()
    plain_http: frozenset[str] = frozenset()
    docker_config: Path | None = None
    logins: tuple[Login, ...] = ()
    proxy: Proxy = Proxy()
    parallel: int = 4

    def origin(self, registry: str) -> Endpoint:
        """The server of `registry` itself: where images are pushed to."""
        name = registry_name(registry)
        host = _DOCKER_HOST if name == DEFAULT_REGISTRY else registry
        for mirror in self.mirrors:
            if mirror.host == host and not mirror.prefix:
                return Endpoint(host, mirror.scheme, name)
        if host in self.plain_http:
            return Endpoint(host, "http", name)
        return Endpoint(host, "" if is_loopback(host) else "https", name)

    def sources(self, registry: str) -> tuple[Endpoint, ...]:
        """The servers to pull from in the order to try: its mirrors, those for all, itself."""
        name, origin = registry_name(registry), self.origin(registry)
        wanted = [mirror for mirror in self.mirrors if mirror.registry == name]
        wanted += [mirror for mirror in self.mirrors if mirror.registry == ANY_REGISTRY]
        mirrors = [
            Endpoint(mirror.host, mirror.scheme, registry_name(mirror.host), mirror.prefix)
            for mirror in wanted
        ]
        return tuple(dict.fromkeys([*mirrors, origin]))

    def allows_plain(self, host: str) -> bool:
        """Whether `host` (with port) may be spoken to without encryption."""
        asked = {mirror.host for mirror in self.mirrors if mirror.scheme == "http"}
        return is_loopback(host) or host in self.plain_http or host in asked


DEFAULT_REMOTE = Remote()


def _split(address: str) -> SplitResult | None:
    try:
        return urlsplit(address)
    except ValueError:  # brackets that are no IPv6 address
        return None


def _exempts(rule: str, host: str) -> bool:
    if rule == ANY_REGISTRY:
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")) in ipaddress.ip_network(rule, strict=False)
    except ValueError:  # a name, not a number
        domain = rule.lower().lstrip(".")
        return bool(domain) and (host.lower() == domain or host.lower().endswith("." + domain))
