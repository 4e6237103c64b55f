"""The host's HTTP proxy, for machines that do not know of it: connections to ports 80 and 443.

What is excluded for sure, by its address or by all the names that the machine knows it by, goes
out directly at once, as if this were not here. For all else the proxy is connected first and
the machine answered then, so that a proxy that cannot be reached is an honest refusal. What the
connection is for, and so whether it is excluded by the name in it, shows in its first bytes
(`service.proxied`).

The proxy's own name is looked up in a thread, with all that the host knows. A proxy may want TLS
itself (`https://`): its certificate has to be valid for the name in its URL.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TypeAlias

from sampan.base import log
from sampan.base.loop import Loop
from sampan.net.core.event import Refusal
from sampan.net.core.flow import Flow
from sampan.net.runtime.engine import Engine
from sampan.net.runtime.host.race import Address, Begin, Race
from sampan.net.runtime.host.relay import Relay
from sampan.net.runtime.host.route import Target
from sampan.net.runtime.outbound import HostOutbound
from sampan.net.runtime.service.proxied import PORTS, Errand, Trip
from sampan.net.services import proxy
from sampan.net.services.proxy import Direct, Proxy, Settings

FRESH_S = 30.0
_log = log.get(__name__)
_Found: TypeAlias = Callable[[tuple[Address, ...]], None]


def _no_names(_: bytes, __: bytes) -> tuple[str, ...]:
    return ()


def _anybody(_: Flow, __: str) -> bool:
    return True


class ProxyService:
    """Takes flows to ports 80 and 443 by way of the proxy that `settings` name.

    Args:
        engine: whose machines.
        outbound: whose flows; the detour is added behind those that are there.
        settings: which proxies, and what goes past them; may be replaced at any time, for
            connections that begin afterwards.
        names: the names by which a machine (first) knows an address, the latest first.
        permit: whether a flow may go to a host of this name. The proxy connects by name, so a
            policy about names has to be asked again for those in requests and in TLS. What is
            said about addresses holds for the one that the machine connected to only.

    Raises:
        UsageError: a file of CAs cannot be used.
    """

    def __init__(
        self,
        engine: Engine,
        outbound: HostOutbound,
        settings: Settings,
        *,
        names: Callable[[bytes, bytes], tuple[str, ...]] = _no_names,
        permit: Callable[[Flow, str], bool] = _anybody,
    ) -> None:
        self._engine = engine
        self._outbound = outbound
        self._names = names
        self._permit = permit
        self._hosts = ProxyHosts(engine.loop)
        self._told: dict[Proxy, float] = {}  # that TLS failed, and when
        self.replace(settings)
        outbound.gates.detour.append(self.detour)

    @property
    def settings(self) -> Settings:
        """What holds for connections that begin now."""
        return self._settings

    def replace(self, settings: Settings) -> None:
        """Go by `settings` from now on.

        Raises:
            UsageError: a file of CAs cannot be used.
        """
        begins: dict[Proxy, Begin] = {}
        wanting = {
            each for each in (settings.http, settings.https) if each is not None and each.tls
        }
        if wanting:
            from sampan.net.runtime.host import secured  # loads OpenSSL

            context = secured.context(settings.certificates)
            begins = {
                each: secured.Secure(context, each.host, partial(self._insecure, each))
                for each in wanting
            }
        self._begins = begins
        self._settings = settings

    def _insecure(self, proxy: Proxy, why: str) -> None:
        """TLS with a proxy failed; said once in a while."""
        now = self._engine.loop.now()
        if self._told.get(proxy, 0.0) > now:
            return
        self._told = {each: until for each, until in self._told.items() if until > now}
        self._told[proxy] = now + FRESH_S
        _log.warning("no TLS with the proxy %s: %s", proxy.host, why)

    def detour(self, flow: Flow, target: Target, now: float) -> bool:
        """See `outbound.Detour`."""
        port = flow.remote.port
        if port not in PORTS:
            return False
        names = self._names(flow.guest.address, flow.remote.address)
        ways = [proxy.decide(self._settings, name, target.address, port) for name in names or ("",)]
        ahead = next((way for way in ways if not isinstance(way, Direct)), None)
        if ahead is None:
            return False
        stack = self._engine.stack
        relay = Relay(self._engine.loop, stack, flow, tap=self._outbound.watch_flow(flow))
        relay.refusal = Refusal.REFUSED
        trip = Trip(
            self._settings, flow.remote, target, names, lambda name: self._permit(flow, name)
        )
        Errand(self._engine.loop, relay, trip)
        begin = self._begins.get(ahead.proxy, Race)
        self._hosts.find(ahead.proxy, lambda found: relay.connect(found, begin))
        return True


class ProxyHosts:
    """The addresses of proxies, each looked up at most once in `FRESH_S`."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._known: dict[Proxy, tuple[float, tuple[Address, ...]]] = {}
        self._waiting: dict[Proxy, list[_Found]] = {}

    def find(self, proxy: Proxy, found: _Found) -> None:
        """Call `found` with the addresses; with none if there are none."""
        until, addresses = self._known.get(proxy, (0.0, ()))
        if addresses and until > self._loop.now():
            found(addresses)
            return
        waiting = self._waiting.setdefault(proxy, [])
        waiting.append(found)
        if len(waiting) == 1:
            self._loop.in_thread(lambda: _look_up(proxy), lambda done: self._found(proxy, done))

    def _found(self, proxy: Proxy, done: Future[tuple[Address, ...]]) -> None:
        addresses: tuple[Address, ...] = ()
        error = done.exception()
        if error is None:
            addresses = done.result()
        else:
            _log.warning("the proxy %s cannot be found: %s", proxy.host, error)
        self._known = {proxy: (self._loop.now() + FRESH_S, addresses)} | {
            each: known for each, known in self._known.items() if known[0] > self._loop.now()
        }
        for found in self._waiting.pop(proxy, ()):
            found(addresses)


def _look_up(proxy: Proxy) -> tuple[Address, ...]:
    """Blocks.

    Raises:
        OSError: there is no such host.
    """
    found = socket.getaddrinfo(proxy.host, proxy.port, type=socket.SOCK_STREAM)
    return tuple(Address(each[0], each[4]) for each in found)  # type: ignore[arg-type]
