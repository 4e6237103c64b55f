"""The host's resolver configuration: the text of `resolv.conf` as a value (resolv.conf(5)).

As the C library does, lines and options that make no sense are passed over: a half-edited file
must not cut the machines off. What is read is bounded.

It may not know where the text came from or when it changes: whoever watches the file parses it
again and gives the result to the forwarder.
"""

from __future__ import annotations

import msgspec

from sampan.net.wire.address import parse_ip
from sampan.net.wire.dns import parse_name

MAX_SERVERS = 8
MAX_SEARCH = 32
_COMMENTS = ("#", ";")


class Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True, order=True):
    """A resolver to ask. An IPv6 address may have a scope (`fe80::1%eth0`)."""

    address: str
    port: int = 53


class Resolver(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to ask and how patiently.

    Without options of its own a file gets shorter times than the C library's 5 s: our answer,
    even a failure, has to be there before the machine's own 5 s are over.
    """

    servers: tuple[Server, ...] = ()
    search: tuple[str, ...] = ()
    ndots: int = 1
    timeout_s: float = 2
    attempts: int = 2
    use_tcp: bool = False


def parse(text: str) -> Resolver:
    """The configuration that `text` describes; the last `search` or `domain` line counts."""
    servers: list[Server] = []
    search: tuple[str, ...] = ()
    options: dict[str, str] = {}
    for line in text.splitlines():
        keyword, *words = line.split() or [""]
        if not words or keyword.startswith(_COMMENTS):
            continue
        if keyword == "nameserver" and _is_address(words[0]):
            servers.append(Server(words[0]))
        elif keyword in ("search", "domain"):
            search = tuple(word for word in words if _is_name(word))[:MAX_SEARCH]
        elif keyword == "options":
            options |= {name: value for name, _, value in (word.partition(":") for word in words)}
    return Resolver(
        servers=tuple(dict.fromkeys(servers))[:MAX_SERVERS],
        search=search,
        ndots=_number(options, "ndots", 1, 0, 15),
        timeout_s=_number(options, "timeout", 2, 1, 30),
        attempts=_number(options, "attempts", 2, 1, 5),
        use_tcp="use-vc" in options,
    )


def _number(options: dict[str, str], name: str, default: int, low: int, high: int) -> int:
    text = options.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        return default
    return min(max(int(text), low), high)


def _is_address(text: str) -> bool:
    try:
        parse_ip(text)
    except ValueError:
        return False
    return True


def _is_name(text: str) -> bool:
    try:
        parse_name(text)
    except ValueError:
        return False
    return True
