"""The DHCP server of a network (RFC 2131), one message at a time.

It is the only one on its network, so it is authoritative: a machine that asks for an address it
cannot have is told so (NAK) instead of waiting in silence.

    DISCOVER ──► OFFER             an address is held; with rapid commit (RFC 4039): ACK
    REQUEST  ──► ACK | NAK         for another server's offer: silence, the hold ends
    INFORM   ──► ACK               options only, no address
    DECLINE, RELEASE ──► silence

The subnet mask, router and resolvers are always told; the rest when the machine asks for it or
asks for nothing in particular. Options are left out from the least important on when they would
not fit what the machine takes. Static routes (RFC 3442) repeat the default route, because
a machine that reads them ignores the router option.

Hostile machines: a message costs a bounded amount of work; addresses are bounded by the pool;
relays are not served. Malformed messages raise `MalformedError`, which costs the message.

It may not know how UDP datagrams are carried: a `Reply` says where it goes.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from sampan.errors import UsageError
from sampan.net.services.lease import Lease, Pool
from sampan.net.wire.address import ANY_IPV4, BROADCAST_IPV4, BROADCAST_MAC, parse_ip
from sampan.net.wire.dhcpv4 import Code, Dhcp, MessageType
from sampan.net.wire.dns import emit_name, parse_name

_MIN_MESSAGE = 576  # RFC 2131, 2: what every client takes, IP and UDP headers included
_HEADERS = 28 + 236 + 4 + 1  # IP, UDP, the fixed part, the cookie and the end mark
_ALWAYS = frozenset({Code.SUBNET_MASK, Code.ROUTER, Code.DNS})


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A network, as an address and the length of its prefix, that lies behind a gateway."""

    network: str
    prefix: int
    gateway: str


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What machines are told. Addresses are text; an empty value is not told."""

    server: str
    prefix: int = 24
    router: str = ""
    resolvers: tuple[str, ...] = ()
    mtu: int = 1500
    domain: str = ""
    search: tuple[str, ...] = ()
    time_servers: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    lease_s: int = 7200

    def __post_init__(self) -> None:
        """Check that all of it can be sent.

        Raises:
            UsageError: a number out of range, or an address or name that is none.
        """
        try:
            _offered(self)
        except ValueError as error:
            raise UsageError(f"the DHCP settings make no sense: {error}") from error
        for name, value, low, high in (
            ("prefix", self.prefix, 1, 30),
            ("mtu", self.mtu, 576, 65535),
            ("lease_s", self.lease_s, 60, 0xFFFFFFFE),
        ):
            if not low <= value <= high:
                raise UsageError(f"DHCP setting {name} is {value}, not {low} to {high}")


@dataclass(frozen=True, slots=True)
class Reply:
    """A datagram from port 67 of the server to port 68 of `ip`, in a frame to `mac`."""

    data: bytes
    ip: bytes
    mac: bytes


@dataclass(frozen=True, slots=True)
class Leased:
    """A machine got an address, or kept it."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class Released:
    """A machine gave its address back, or found it taken (`declined`)."""

    mac: bytes
    ip: bytes
    declined: bool = False


class Server:
    """Answers machines with addresses of `pool`. `settings` may be replaced at any time."""

    def __init__(self, settings: Settings, pool: Pool) -> None:
        self.settings = settings
        self.pool = pool
        self._events: list[Leased | Released] = []

    def received(
        self, data: bytes, now: float, owner: int = 0, sender: bytes = b""
    ) -> Reply | None:
        """Take the payload of a datagram to port 67; send the reply if there is one.

        `owner` is the port of the switch it came from, `sender` the MAC that sent the frame: a
        message about another card is passed over, so that nobody gives away what is another's.
        Look at `events` afterwards.

        Raises:
            MalformedError: the payload is no DHCP message.
        """
        message = Dhcp.parse(data)
        if not message.request or message.relay != ANY_IPV4 or message.mac[0] & 1:
            return None
        if sender and message.mac != sender:
            return None
        match message.message_type:
            case MessageType.DISCOVER:
                return self._discover(message, now, owner)
            case MessageType.REQUEST:
                return self._request(message, now, owner)
            case MessageType.INFORM:
                return self._reply(message, MessageType.ACK, None)
            case MessageType.DECLINE:
                wanted = _address(message, Code.REQUESTED_ADDRESS)
                if wanted is not None and self.pool.decline(message.mac, wanted, now):
                    self._events.append(Released(message.mac, wanted, declined=True))
            case MessageType.RELEASE:
                if self.pool.release(message.mac, message.client, now):
                    self._events.append(Released(message.mac, message.client))
            case _:
                pass
        return None

    def events(self) -> list[Leased | Released]:
        """What happened since the last call."""
        events, self._events = self._events, []
        return events

    def _discover(self, message: Dhcp, now: float, owner: int) -> Reply | None:
        wanted = _address(message, Code.REQUESTED_ADDRESS)
        lease = self.pool.offer(message.mac, wanted, now, owner)
        if lease is None:
            return None
        if Code.RAPID_COMMIT in message.options:
            return self._bind(message, lease.ip, now, owner)
        return self._reply(message, MessageType.OFFER, lease.ip)

    def _request(self, message: Dhcp, now: float, owner: int) -> Reply | None:
        server = _address(message, Code.SERVER_ID)
        wanted = _address(message, Code.REQUESTED_ADDRESS)
        if server is not None and server != parse_ip(self.settings.server):
            held = self.pool.find(message.mac, now)
            if held is not None and not held.bound:
                self.pool.release(message.mac, held.ip, now)
            return None
        ip = wanted if message.client == ANY_IPV4 else message.client  # else it renews
        return self._bind(message, ip, now, owner) if ip is not None else None

    def _bind(self, message: Dhcp, ip: bytes, now: float, owner: int) -> Reply:
        name = _host_name(message.options.get(Code.HOST_NAME, b""))
        lease = self.pool.bind(message.mac, ip, now, self.settings.lease_s, name=name, owner=owner)
        if lease is None:
            return self._refuse(message)
        self._events.append(Leased(lease))
        return self._reply(message, MessageType.ACK, ip)

    def _refuse(self, message: Dhcp) -> Reply:
        options: dict[int, bytes] = {
            Code.MESSAGE_TYPE: bytes([MessageType.NAK]),
            Code.SERVER_ID: parse_ip(self.settings.server),
            Code.MESSAGE: b"that address is not yours",
        }
        answer = Dhcp(False, message.transaction, message.mac, broadcast=True, options=options)
        return Reply(answer.emit(), BROADCAST_IPV4, BROADCAST_MAC)

    def _reply(self, message: Dhcp, kind: MessageType, ip: bytes | None) -> Reply:
        """An answer with `ip`, or without an address to one who asked for options only."""
        server = parse_ip(self.settings.server)
        options: dict[int, bytes] = {
            Code.MESSAGE_TYPE: bytes([kind]),
            Code.SERVER_ID: server,
        }
        if ip is not None:
            lease_s = self.settings.lease_s
            options[Code.LEASE_TIME] = lease_s.to_bytes(4, "big")
            options[Code.RENEWAL_TIME] = (lease_s // 2).to_bytes(4, "big")
            options[Code.REBINDING_TIME] = (lease_s * 7 // 8).to_bytes(4, "big")
            if kind is MessageType.ACK and message.message_type is MessageType.DISCOVER:
                options[Code.RAPID_COMMIT] = b""
        _add(options, _offered(self.settings), message)
        answer = Dhcp(
            False,
            message.transaction,
            message.mac,
            client=message.client,
            yours=ip or ANY_IPV4,
            server=server,
            broadcast=message.broadcast,
            options=options,
        )
        return Reply(answer.emit(), *_destination(message, ip))


def _destination(message: Dhcp, ip: bytes | None) -> tuple[bytes, bytes]:
    """Where an answer goes (RFC 2131, 4.1): address and MAC."""
    if message.client != ANY_IPV4:
        return message.client, message.mac
    if message.broadcast or ip is None:
        return BROADCAST_IPV4, BROADCAST_MAC
    return ip, message.mac


def _offered(settings: Settings) -> dict[int, bytes]:
    """What there is to tell, the most important first."""
    mask = 0xFFFFFFFF & ~(0xFFFFFFFF >> settings.prefix)
    server = int.from_bytes(parse_ip(settings.server), "big")
    routes = b"".join(_route(each.network, each.prefix, each.gateway) for each in settings.routes)
    if routes and settings.router:
        routes += _route("0.0.0.0", 0, settings.router)
    told: dict[int, bytes] = {
        Code.SUBNET_MASK: mask.to_bytes(4, "big"),
        Code.ROUTER: parse_ip(settings.router) if settings.router else b"",
        Code.DNS: _addresses(settings.resolvers),
        Code.MTU: settings.mtu.to_bytes(4, "big")[2:],
        Code.BROADCAST: (server | ~mask & 0xFFFFFFFF).to_bytes(4, "big"),
        Code.DOMAIN_NAME: b".".join(parse_name(settings.domain)),
        Code.STATIC_ROUTES: routes,
        Code.SEARCH: b"".join(emit_name(parse_name(name)) for name in settings.search),
        Code.NTP: _addresses(settings.time_servers),
    }
    return {code: value for code, value in told.items() if value}


def _add(options: dict[int, bytes], offered: dict[int, bytes], message: Dhcp) -> None:
    """Add to `options` what was asked for, as far as it fits."""
    asked = message.options.get(Code.PARAMETER_LIST, b"")
    size = int.from_bytes(message.options.get(Code.MAX_SIZE, b"")[:2], "big")
    room = max(_MIN_MESSAGE, min(size, 1500)) - _HEADERS
    room -= sum(2 + len(value) for value in options.values())
    for code, value in offered.items():
        cost = len(value) + 2 * -(-len(value) // 255)
        if (code in _ALWAYS or not asked or code in asked) and cost <= room:
            options[code] = value
            room -= cost


def _addresses(texts: tuple[str, ...]) -> bytes:
    """The IPv4 ones among addresses; DHCP has no place for others."""
    return b"".join(raw for raw in map(parse_ip, texts) if len(raw) == 4)


def _route(network: str, prefix: int, gateway: str) -> bytes:
    return bytes([prefix]) + parse_ip(network)[: -(-prefix // 8)] + parse_ip(gateway)


def _address(message: Dhcp, code: Code) -> bytes | None:
    value = message.options.get(code, b"")
    return value if len(value) == 4 else None


def _host_name(raw: bytes) -> str:
    """The first label of the name a machine gives itself, if it is one."""
    text = raw.rstrip(b"\0").decode("ascii", "replace").lower().partition(".")[0]
    plain = text.replace("-", "")
    fits = 0 < len(text) <= 63 and plain.isascii() and plain.isalnum()
    return text if fits and not text.startswith("-") and not text.endswith("-") else ""
