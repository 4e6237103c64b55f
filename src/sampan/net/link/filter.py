"""Which frames to capture: small expressions, compiled to a predicate on frames.

    tcp and port 443
    host 192.168.65.3 or net fd00::/64
    not (udp port 53 or arp)          src port 80     dst host 10.0.0.1

Terms: `host ADDRESS`, `net CIDR`, `port N`, `portrange N-M`, each with `src` or `dst` before it
if only one end is meant; `tcp udp icmp icmp6 arp ip ip6`, alone or in front of a term.
Addresses are numbers; names are the caller's to look up. Terms are joined by `and`, `or`, `not` and brackets; `and` binds tighter than `or`.

A frame that cannot be read (or a fragment, for ports) has no addresses or ports: such terms are
false for it. An empty expression takes everything.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from sampan.errors import UsageError
from sampan.net.wire import ethernet, ipv4, ipv6
from sampan.net.wire.checksum import Buffer
from sampan.net.wire.error import MalformedError
from sampan.net.wire.ethernet import EtherType
from sampan.net.wire.ipv4 import Protocol

MAX_LENGTH = 4096
MAX_DEPTH = 50
_PROTOCOLS = {
    "tcp": Protocol.TCP, "udp": Protocol.UDP, "icmp": Protocol.ICMP, "icmp6": Protocol.ICMPV6,
}  # fmt: skip
_ETHERTYPES = {"arp": EtherType.ARP, "ip": EtherType.IPV4, "ip6": EtherType.IPV6}
_PRIMITIVES = ("host", "net", "port", "portrange")
_TOKEN = re.compile(r"\s*([()!]|[^\s()!]+)")


@dataclass(frozen=True, slots=True)
class Headers:
    """What an expression can ask about. Addresses and ports are (source, destination)."""

    ethertype: int = 0
    protocol: int = -1
    addresses: tuple[bytes, ...] = ()
    ports: tuple[int, ...] = ()


Predicate: TypeAlias = Callable[[Headers], bool]


def compile_filter(text: str) -> Callable[[Buffer], bool]:
    """A function that says whether a frame is wanted.

    Raises:
        UsageError: the expression makes no sense; a caret shows where.
    """
    if len(text) > MAX_LENGTH:
        raise UsageError(f"a filter of {len(text)} characters; {MAX_LENGTH} are enough")
    if not text.strip():
        return lambda frame: True
    predicate = _Parser(text).whole()
    return lambda frame: predicate(headers(frame))


def headers(frame: Buffer) -> Headers:
    """The headers of a frame, as far as it can be read."""
    if len(frame) < ethernet.HEADER_LENGTH:
        return Headers()
    ethertype = int.from_bytes(frame[12:14], "big")
    packet: ipv4.Ipv4 | ipv6.Ipv6
    try:
        if ethertype == EtherType.IPV4:
            packet = ipv4.Ipv4.parse(frame[ethernet.HEADER_LENGTH :], check=False)
        elif ethertype == EtherType.IPV6:
            packet = ipv6.Ipv6.parse(frame[ethernet.HEADER_LENGTH :])
        else:
            return Headers(ethertype)
    except MalformedError:
        return Headers(ethertype)
    ports: tuple[int, ...] = ()
    has_ports = packet.protocol in (Protocol.TCP, Protocol.UDP) and packet.offset == 0
    if has_ports and len(packet.payload) >= 4:
        ports = tuple(int.from_bytes(packet.payload[at : at + 2], "big") for at in (0, 2))
    return Headers(ethertype, packet.protocol, (packet.source, packet.destination), ports)


class _Parser:
    """A recursive descent over the words of an expression."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = [(each[1], each.start(1)) for each in _TOKEN.finditer(text)]
        self._next = 0
        self._depth = 0

    def whole(self) -> Predicate:
        predicate = self._either()
        if self._word():
            raise self._wrong("expected `and` or `or`")
        return predicate

    def _either(self) -> Predicate:
        terms = [self._both()]
        while self._take("or", "||"):
            terms.append(self._both())
        return terms[0] if len(terms) == 1 else lambda seen: any(term(seen) for term in terms)

    def _both(self) -> Predicate:
        terms = [self._negated()]
        while self._take("and", "&&"):
            terms.append(self._negated())
        return terms[0] if len(terms) == 1 else lambda seen: all(term(seen) for term in terms)

    def _negated(self) -> Predicate:
        negative = False
        while self._take("not", "!"):
            negative = not negative
        term = self._term()
        return (lambda seen: not term(seen)) if negative else term

    def _term(self) -> Predicate:
        if self._take("("):
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise self._wrong(f"more than {MAX_DEPTH} brackets deep")
            inner = self._either()
            if not self._take(")"):
                raise self._wrong("expected `)`")
            self._depth -= 1
            return inner
        word = self._word()
        if word in _PROTOCOLS or word in _ETHERTYPES:
            self._next += 1
            kind = _kind(word)
            if self._word() in ("src", "dst", *_PRIMITIVES):
                narrowed = self._primitive()
                return lambda seen: kind(seen) and narrowed(seen)
            return kind
        return self._primitive()

    def _primitive(self) -> Predicate:
        ends = slice(None)
        if self._take("src"):
            ends = slice(0, 1)
        elif self._take("dst"):
            ends = slice(1, 2)
        word = self._word()
        if word not in _PRIMITIVES:
            raise self._wrong("expected host, net, port, portrange, a protocol, not or (")
        self._next += 1
        if word in ("host", "net"):
            network = self._network(whole=word == "host")
            return lambda seen: any(_is_in(each, network) for each in seen.addresses[ends])
        wanted = self._ports(is_range=word == "portrange")
        return lambda seen: any(port in wanted for port in seen.ports[ends])

    def _network(self, *, whole: bool) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
        word = self._word()
        try:
            if whole:
                ipaddress.ip_address(word)
            network = ipaddress.ip_network(word, strict=False)
        except ValueError:
            raise self._wrong("expected an address" if whole else "expected a network") from None
        self._next += 1
        return network

    def _ports(self, *, is_range: bool) -> range:
        found = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", self._word())
        if found is None or (found[2] is not None) != is_range:
            raise self._wrong("expected ports as 8000-8010" if is_range else "expected a port")
        low, high = int(found[1]), int(found[2] or found[1])
        if not low <= high <= 65535:
            raise self._wrong("not within 0 to 65535, the lower first")
        self._next += 1
        return range(low, high + 1)

    def _word(self) -> str:
        return self._tokens[self._next][0].lower() if self._next < len(self._tokens) else ""

    def _take(self, *words: str) -> bool:
        taken = self._word() in words
        self._next += taken
        return taken

    def _wrong(self, why: str) -> UsageError:
        at = len(self._text)
        if self._next < len(self._tokens):
            at = self._tokens[self._next][1]
        shown = re.sub(r"\s", " ", self._text)
        return UsageError(
            f"the filter makes no sense: {why}\n    {shown}\n    {' ' * at}^",
            hint="for instance: tcp and (port 80 or host 10.0.0.1)",
        )


def _kind(word: str) -> Predicate:
    if word in _PROTOCOLS:
        protocol = _PROTOCOLS[word]
        return lambda seen: seen.protocol == protocol
    ethertype = _ETHERTYPES[word]
    return lambda seen: seen.ethertype == ethertype


def _is_in(address: bytes, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    return ipaddress.ip_address(address) in network
