"""What machines may reach: an egress policy, as frozen rules and a decision.

The document (YAML or JSON, parsed elsewhere) has rules of which the first that matches decides,
and a default for the rest:

    default: deny
    rules:
      - allow: ["*.example.com", example.com]
        port: [443, 8000-8010]
        protocol: tcp
      - deny: 169.254.0.0/16
        name: link-local

A rule is about names (`*` stands for anything, dots included), addresses or networks, all
together under `allow` or `deny`; ports and a protocol narrow it. A rule without ports matches
every port, and ICMP, which has none.

Names are those a machine learnt the address by; who connects to a bare address has no name, so
a policy that must hold denies by default or by address. `may_resolve` refuses names early,
where no rule about ports or addresses could still let them through.

It may not know how the refusal is told to the machine (RST, ICMP or REFUSED).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from fnmatch import translate
from functools import lru_cache

import msgspec

from sampan.errors import DocumentError, Problem

MAX_RULES = 10_000
_KEYS = ("allow", "deny", "port", "protocol", "name")
_MAX_PORT = 65535


class Protocol(StrEnum):
    """What a rule can be narrowed to."""

    TCP = "tcp"
    UDP = "udp"
    ICMP = "icmp"


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule. `names` are lower-case patterns, `networks` CIDR text, `ports` pairs of bounds.

    Without names and networks it is about everything.
    """

    allow: bool
    names: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    ports: tuple[tuple[int, int], ...] = ()
    protocol: Protocol | None = None
    name: str = ""

    def concerns(self, target: Target) -> bool:
        """Whether it is about `target`."""
        if self.protocol is not None and self.protocol is not target.protocol:
            return False
        if self.ports and not any(low <= target.port <= high for low, high in self.ports):
            return False
        if not self.names and not self.networks:
            return True
        if any(_pattern(each).fullmatch(name) for each in self.names for name in target.names):
            return True
        return any(_is_in(target.address, each) for each in self.networks)


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where a machine wants to go. `address` is text; `names` are lower-case, without final dot.

    `port` is 0 for ICMP.
    """

    address: str
    port: int
    protocol: Protocol
    names: tuple[str, ...] = ()


class Decision(msgspec.Struct, frozen=True):
    """Whether it may, and the rule that says so; None for the default."""

    allowed: bool
    rule: Rule | None = None


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The rules in their order, and what holds for the rest."""

    rules: tuple[Rule, ...] = ()
    default_allow: bool = True

    def decide(self, target: Target) -> Decision:
        """What the first matching rule says."""
        for rule in self.rules:
            if rule.concerns(target):
                return Decision(rule.allow, rule)
        return Decision(self.default_allow)

    def may_resolve(self, name: str) -> Decision:
        """Whether a machine may ask for `name`: not if nothing by that name could be reached."""
        folded = name.lower()
        for rule in self.rules:
            named = any(_pattern(each).fullmatch(folded) for each in rule.names)
            everything = not rule.names and not rule.networks
            if rule.allow and (named or everything or rule.networks):
                return Decision(allowed=True, rule=rule)
            narrow = rule.ports or rule.protocol is not None
            if not rule.allow and (named or everything) and not narrow:
                return Decision(allowed=False, rule=rule)
        return Decision(self.default_allow)


def parse(document: object, *, name: str = "policy") -> Policy:
    """The policy that a parsed document describes.

    Raises:
        DocumentError: it has faults; all are named, each with its path.
    """
    problems: list[Problem] = []
    if not isinstance(document, Mapping):
        raise DocumentError([Problem(name, "a policy is a mapping of `default` and `rules`")])
    problems += [
        Problem(f"{name}.{key}", "unknown key", hint="there are: default, rules")
        for key in document
        if key not in ("default", "rules")
    ]
    default = document.get("default", "allow")
    if default not in ("allow", "deny"):
        problems.append(Problem(f"{name}.default", f"{default!r} is neither allow nor deny"))
    rules = document.get("rules", [])
    if rules is None:  # `rules:` with nothing behind it
        rules = []
    if not _is_list(rules) or len(rules) > MAX_RULES:
        problems.append(Problem(f"{name}.rules", f"not a list of at most {MAX_RULES} rules"))
        rules = []
    parsed = [_rule(rule, f"{name}.rules[{number}]", problems) for number, rule in enumerate(rules)]
    if problems:
        raise DocumentError(problems)
    return Policy(
        rules=tuple(rule for rule in parsed if rule is not None), default_allow=default == "allow"
    )


def _rule(rule: object, path: str, problems: list[Problem]) -> Rule | None:
    if not isinstance(rule, Mapping) or ("allow" in rule) == ("deny" in rule):
        problems.append(Problem(path, "a rule has either `allow` or `deny`"))
        return None
    problems += [
        Problem(f"{path}.{key}", "unknown key", hint=f"there are: {', '.join(_KEYS)}")
        for key in rule
        if key not in _KEYS
    ]
    verb = "allow" if "allow" in rule else "deny"
    names, networks = _peers(rule[verb], f"{path}.{verb}", problems)
    protocol = rule.get("protocol")
    if protocol is not None and protocol not in tuple(Protocol):
        problems.append(Problem(f"{path}.protocol", f"{protocol!r} is none of tcp, udp, icmp"))
        protocol = None
    return Rule(
        allow=verb == "allow",
        names=names,
        networks=networks,
        ports=tuple(_ports(rule.get("port"), f"{path}.port", problems)),
        protocol=Protocol(protocol) if protocol is not None else None,
        name=str(rule.get("name", "")),
    )


def _peers(
    value: object, path: str, problems: list[Problem]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The name patterns and networks that a rule lists; neither if it lists `*`."""
    names, networks = [], []
    listed = _listed(value)
    if not listed:
        problems.append(Problem(path, "it is empty", hint='write "*" for everything'))
    for each in listed:
        text = each if isinstance(each, str) else ""
        if (network := _as_network(text)) is not None:
            networks.append(network)
        elif re.fullmatch(r"[\w*.-]+", text, re.ASCII):
            names.append(text.lower().removesuffix("."))
        else:
            problems.append(Problem(path, f"{each!r} is no name, address or network"))
    return ((), ()) if "*" in names else (tuple(names), tuple(networks))


def _ports(value: object, path: str, problems: list[Problem]) -> Iterable[tuple[int, int]]:
    for each in _listed(value):
        low, dash, high = str(each).partition("-")
        bounds = [low, high if dash else low]
        if all(text.isascii() and text.isdigit() and len(text) <= 5 for text in bounds):
            first, last = map(int, bounds)
            if 1 <= first <= last <= _MAX_PORT:
                yield first, last
                continue
        problems.append(Problem(path, f"{each!r} is no port or range of ports"))


def _listed(value: object) -> Sequence[object]:
    if value is None:
        return ()
    return value if isinstance(value, list | tuple) else (value,)


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


def _as_network(text: str) -> str | None:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(translate(text))


@lru_cache(maxsize=4096)
def _parsed(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text)


def _is_in(address: str, network: str) -> bool:
    """Whether an address lies in a network; one of the other family does not."""
    return ipaddress.ip_address(address) in _parsed(network)
