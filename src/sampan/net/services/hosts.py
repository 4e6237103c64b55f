"""Names that this network answers itself: a hosts file, the host, the gateway, the machines.

`parse` reads the text of a hosts file (hosts(5)) into a frozen value. A `Book` holds several
of them under keys (`TABLES`: what the network is, what was added while it runs, the machines,
hosts files, and any others behind them): each is replaced as a whole when it changes, and the
first that knows a name answers for it.

The book is the authority for its own `domain`: a name in it that nobody has does not exist,
and never leaks to a resolver outside. It is likewise for the addresses of its `networks`.

A hosts file is mostly about the host's own loopback, which inside a machine would mean the
machine itself; those lines are left out, or stand for an address that reaches the host.

It may not know about DNS messages, only names and addresses.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import TypeVar

import msgspec

from sampan.net.wire.address import parse_ip
from sampan.net.wire.dns import Name, fold, parse_name

DOMAIN = "sampan.internal"
HOST_NAMES = (f"host.{DOMAIN}", "host.docker.internal", "vpnkit.host")
GATEWAY_NAMES = (f"gateway.{DOMAIN}", "gateway.docker.internal", "gateway.internal")
MAX_ENTRIES = 20_000
TABLES = ("network", "added", "machines", "hosts")
_RESERVED = frozenset({"localhost", "host", "gateway", "wpad", "isatap"})

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An address and the names it has, the canonical one first."""

    address: str
    names: tuple[str, ...]


class Hosts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of names, in the order of its file."""

    entries: tuple[Entry, ...] = ()


def parse(text: str, *, loopback: str = "") -> Hosts:
    """The table in `text`; lines that make no sense are passed over.

    Loopback and unspecified addresses become `loopback`, or are left out without one;
    `localhost` always is.
    """
    entries = (_entry(line, loopback) for line in text.splitlines())
    return Hosts(tuple(islice((each for each in entries if each is not None), MAX_ENTRIES)))


def network_names(
    host: Sequence[str],
    gateway: Sequence[str],
    *,
    host_names: Iterable[str] = (),
    gateway_names: Iterable[str] = (),
) -> Hosts:
    """The names by which machines find the host and the gateway at these addresses.

    `…_names` are names beside the usual ones.
    """
    return Hosts(
        tuple(Entry(address, (*HOST_NAMES, *host_names)) for address in host)
        + tuple(Entry(address, (*GATEWAY_NAMES, *gateway_names)) for address in gateway)
    )


def machine_names(machines: Iterable[tuple[str, str]], domain: str = DOMAIN) -> Hosts:
    """Entries for (name, address) pairs: `web` answers as `web.sampan.internal` and `web`."""
    return Hosts(
        tuple(Entry(address, (f"{name}.{domain}", name)) for name, address in machines if name)
    )


def machine_label(text: str) -> str:
    """The name that a machine or link can have by `text`: its first label; empty for none.

    Names by which programs find other things than machines (RFC 6761; WPAD, ISATAP) are nobody's.
    """
    label = text.lower().partition(".")[0]
    fits = 0 < len(label) <= 63 and label.isascii() and label.replace("-", "").isalnum()
    if not fits or label.startswith("-") or label.endswith("-") or label in _RESERVED:
        return ""
    return label


class Book:
    """The tables of a network, and the domain and networks it answers for."""

    def __init__(self, *, domain: str = DOMAIN, networks: Sequence[str] = ()) -> None:
        self._domain = fold(parse_name(domain))
        self._networks = [ipaddress.ip_network(each) for each in networks]
        self._forward: dict[str, dict[Name, tuple[bytes, ...]]] = {key: {} for key in TABLES}
        self._reverse: dict[str, dict[bytes, Name]] = {key: {} for key in TABLES}

    def replace(self, key: str, hosts: Hosts) -> None:
        """Let `hosts` be the table called `key`.

        Raises:
            ValueError: an address or name in it is none.
        """
        forward: dict[Name, tuple[bytes, ...]] = {}
        reverse: dict[bytes, Name] = {}
        for entry in hosts.entries:
            raw = parse_ip(entry.address)
            for text in entry.names:
                name = fold(parse_name(text))
                if raw not in forward.get(name, ()):
                    forward[name] = (*forward.get(name, ()), raw)
                reverse.setdefault(raw, name)
        self._forward[key] = forward
        self._reverse[key] = reverse

    def addresses(self, name: Name) -> tuple[bytes, ...] | None:
        """The addresses of a name, 4 or 16 bytes each; None if it is not one of ours.

        An empty result means that the name does not exist and must not be asked for elsewhere.
        """
        folded = fold(name)
        found = _first(self._forward, folded)
        if found is None and folded[-len(self._domain) :] == self._domain:
            return ()
        return found

    def name(self, address: bytes) -> Name | None:
        """The canonical name of an address; None if it is not one of ours.

        An empty name (the root) means that the address is ours and has none.
        """
        found = _first(self._reverse, address)
        if found is None and any(
            network.version == (4 if len(address) == 4 else 6)
            and ipaddress.ip_address(address) in network
            for network in self._networks
        ):
            return ()
        return found


def _first(tables: Mapping[str, Mapping[_Key, _Value]], key: _Key) -> _Value | None:
    return next((table[key] for table in tables.values() if key in table), None)


def _entry(line: str, loopback: str) -> Entry | None:
    address, *names = line.partition("#")[0].split() or [""]
    kept = tuple(name for name in names if _is_name(name) and name != "localhost")
    if not kept:
        return None
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if parsed.is_loopback or parsed.is_unspecified:
        return Entry(loopback, kept) if loopback else None
    return Entry(str(parsed), kept)


def _is_name(text: str) -> bool:
    try:
        return bool(parse_name(text))
    except ValueError:
        return False
