"""One connection of a machine on its way to the host's proxy.

The proxy has been connected and the machine answered. The first bytes tell the rest:

    port 80     a request's head       Host: decides   absolute URIs to the proxy
                something else                         directly
    port 443    a TLS ClientHello      SNI decides     a tunnel to that name
                something else                         a tunnel to the address
    silence     for `SILENCE_S`: the server speaks first   as something else

"Decides" means: whether the name is excluded, in which case the proxy is left and the machine's
destination connected instead. A failure is a reset from now on.

The proxy connects by name, from where it stands. So that this opens no way that the machine
would not have by itself, each name in each request is asked for (`Trip.permit`), the host's own
loopback is nobody, an address in place of a name has to be the one that was connected to, and
ports have to be those that the proxy is for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from sampan.base import log
from sampan.base.loop import Loop, Timer
from sampan.net.core.endpoint import Endpoint
from sampan.net.runtime.host.race import Address
from sampan.net.runtime.host.relay import Relay
from sampan.net.runtime.host.route import Target
from sampan.net.runtime.host.transform import PLAIN
from sampan.net.services import httpdetect, proxy, sni
from sampan.net.services.httphead import END, RequestHead, ResponseHead
from sampan.net.services.httpmessage import MAX_HEAD
from sampan.net.services.httprequest import Head, RequestRewriter
from sampan.net.services.proxy import AbsoluteUri, Direct, Settings, Tunnel
from sampan.net.wire.address import format_ip, parse_ip
from sampan.net.wire.error import MalformedError

HTTP, TLS = PORTS = (80, 443)
SILENCE_S = 3.0
_AUTHORITY = re.compile(r"(?:[a-z][a-z0-9+.-]*://)([^/?#]*)", re.IGNORECASE)
_log = log.get(__name__)


@dataclass(frozen=True)
class Trip:
    """Where a machine wants to go: the address it connected to, and the names it knows it by."""

    settings: Settings
    remote: Endpoint
    target: Target
    names: tuple[str, ...]
    permit: Callable[[str], bool]

    @property
    def fallback(self) -> str:
        """What stands for a host that nobody names."""
        if self.names:
            return self.names[0]
        text = format_ip(self.remote.address)
        return f"[{text}]" if ":" in text else text

    def admits(self, authority: str, port: int) -> bool:
        """Whether the proxy may be asked for `authority` (a host, perhaps with a port)."""
        host, given = _split(authority)
        if given not in (None, port):
            return False
        name = host.lower().removesuffix(".")
        if name == "localhost" or name.endswith(".localhost"):
            return False
        try:
            address = parse_ip(name)
        except ValueError:
            return bool(name) and not _is_number(name) and self.permit(name)
        return address == self.remote.address


class Errand:
    """Finds out where a connection goes; what stands in `relay.up` until that is known."""

    def __init__(self, loop: Loop, relay: Relay, trip: Trip) -> None:
        self._loop = loop
        self._relay = relay
        self._trip = trip
        self._start = b""
        self._timer: Timer | None = None
        relay.up = self
        relay.when_connected = self._listen

    def received(self, data: bytes) -> bytes:
        """See `Transform.received`."""
        self._start += data
        name = self._name()
        return self._go(name) if name is not None else b""

    def finished(self) -> bytes:
        """See `Transform.finished`: the machine leaves before it said what it wants."""
        self._relay.finish()
        return b""

    def _listen(self) -> None:
        """The machine is answered: it may speak now."""
        self._relay.when_connected = None
        self._timer = self._loop.call_at(self._loop.now() + SILENCE_S, self._silent)

    def _silent(self) -> None:
        if not self._start and not self._relay.is_over:
            self._relay.send_up(self._go(""))

    def _name(self) -> str | None:
        """Whom the machine wants: a host, "" if it does not say; None if more has to come."""
        start = self._start
        if self._trip.remote.port == TLS:
            found = sni.server_name(start)
            if found is sni.Verdict.MORE:
                return None
            return found if isinstance(found, str) else ""
        language = httpdetect.detect(start)
        if language is httpdetect.Language.UNKNOWN:
            return None
        if language is not httpdetect.Language.HTTP1:
            return ""
        head, end, _ = start.lstrip(b"\r\n").partition(END)
        if not end:
            if len(head) > MAX_HEAD:
                raise MalformedError("the head of a request that does not end")
            return None
        return RequestHead.parse(head).host or self._trip.fallback

    def _go(self, authority: str) -> bytes:
        """It is known; the result is for the host's side."""
        trip, relay = self._trip, self._relay
        if self._timer is not None:
            self._timer.cancel()
        start, self._start = self._start, b""
        relay.up = PLAIN
        host, _ = _split(authority)
        name = host or next(iter(trip.names), "")
        way = proxy.decide(trip.settings, name, trip.target.address, trip.remote.port)
        match way:
            case AbsoluteUri(proxy=chosen) if host:
                relay.up = Requests(trip, chosen.authorization)
                return relay.up.received(start)
            case Tunnel(proxy=chosen):
                if host and not trip.admits(host, TLS):
                    raise MalformedError(f"a tunnel to {host} is not allowed")
                request = proxy.connect(chosen, host or format_ip(trip.remote.address), TLS)
                relay.hold()
                relay.down = Opening(relay, start)
                relay.send_up(request)
            case Direct() | AbsoluteUri():
                family, address = trip.target
                relay.connect([Address(family, (address, trip.remote.port))])
                return start
        return b""


class Requests:
    """Requests of a machine with their URIs made absolute; see `services.httprequest`."""

    def __init__(self, trip: Trip, authorization: str) -> None:
        self._trip = trip
        self._rewriter = RequestRewriter(trip.fallback, authorization)

    def received(self, data: bytes) -> bytes:
        """See `Transform.received`."""
        out = self._rewriter.received(data)
        for head in self._rewriter.heads:
            self._check(head)
        self._rewriter.heads.clear()
        return out

    def finished(self) -> bytes:
        """See `Transform.finished`."""
        return b""

    def _check(self, head: Head) -> None:
        if head.method == "CONNECT":
            wanted, port = [head.target], TLS
        else:
            wanted, port = [head.host], HTTP
            if found := _AUTHORITY.match(head.target):
                wanted.append(found[1].rpartition("@")[2])
        for each in wanted:
            if not self._trip.admits(each, port):
                raise MalformedError(f"a request for {each!r} that is not allowed here")


class Opening:
    """What the proxy says until the tunnel is open; then `start` goes into it."""

    def __init__(self, relay: Relay, start: bytes) -> None:
        self._relay = relay
        self._start = start
        self._head = b""

    def received(self, data: bytes) -> bytes:
        """See `Transform.received`."""
        self._head += data
        while END in self._head:
            raw, _, self._head = self._head.partition(END)
            status = ResponseHead.parse(raw).status
            if 200 <= status < 300:
                return self._opened()
            if status >= 200:
                _log.info("the proxy opens no tunnel to %s: %d", self._relay.flow.remote, status)
                self._relay.reset()
                return b""
        if len(self._head) > MAX_HEAD:
            raise MalformedError("an answer of the proxy that does not end")
        return b""

    def _opened(self) -> bytes:
        self._relay.down = PLAIN
        self._relay.send_up(self._start)
        self._relay.release()
        return self._head

    def finished(self) -> bytes:
        """See `Transform.finished`."""
        self._relay.reset()
        return b""


def _split(authority: str) -> tuple[str, int | None]:
    """Host and port; an IPv6 address without its brackets. No port: None; one that is none: -1."""
    host, colon, port = authority.rpartition(":")
    if not colon or "]" in port or (":" in host and not host.endswith("]")):
        host, port = authority, ""
    number = int(port) if port.isascii() and port.isdigit() else -1
    return host.strip("[]"), number if port else None


def _is_number(name: str) -> bool:
    """Whether a name is an address in one of the forms that only old programs understand."""
    last = name.rpartition(".")[2]
    return last.isdigit() or re.fullmatch(r"0x[0-9a-f]*", last) is not None
