"""Everything of one network put together. Belongs to the thread of its loop.

This is the one place that knows all parts: it wires services, gates and observers to the
engine, and hands them on under their names to who controls or shows the network.
"""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Iterable
from typing import Any

from sampan.base.clock import SystemClock
from sampan.base.loop import Loop
from sampan.net.core.endpoint import Endpoint
from sampan.net.core.event import NeighbourLearned
from sampan.net.core.flow import Flow
from sampan.net.hook import Hook, Hooks
from sampan.net.runtime.directory import Directory
from sampan.net.runtime.egress import Egress
from sampan.net.runtime.engine import Engine, Link, Plug
from sampan.net.runtime.forward.multiplexed import MultiplexedForwards
from sampan.net.runtime.forward.table import Forwards
from sampan.net.runtime.host.route import HostAccess, Router, Target
from sampan.net.runtime.outbound import HostOutbound
from sampan.net.runtime.service.dhcp import DhcpService
from sampan.net.runtime.service.dns import DnsService
from sampan.net.runtime.service.metadata import MetadataService
from sampan.net.runtime.service.ntp import NtpService
from sampan.net.runtime.service.proxy import ProxyService
from sampan.net.runtime.service.source import Sources
from sampan.net.runtime.view import policyfile
from sampan.net.runtime.view.eventlog import EventLog
from sampan.net.runtime.view.flowtable import FlowTable
from sampan.net.runtime.view.harfile import HarFile
from sampan.net.runtime.view.hooked import Hooked, Knowledge
from sampan.net.runtime.view.httpview import HttpView
from sampan.net.runtime.view.inquiry import Inquiry
from sampan.net.runtime.view.policyfile import PolicyFile
from sampan.net.services import dhcp, hosts
from sampan.net.services.alias import Aliases
from sampan.net.services.forward import Forward
from sampan.net.services.lease import Pool
from sampan.net.services.policy import Policy
from sampan.net.services.proxy import Settings as ProxySettings
from sampan.net.setting import (
    Addresses,
    Fixed,
    Settings,
    addresses,
    fixed_address,
    limits,
    network,
    parse_station,
)
from sampan.net.wire.address import format_ip, format_mac, parse_ip, parse_mac
from sampan.net.wire.dns import parse_name


class Assembly:
    """A running network; its parts are public, for the loop's thread.

    Raises:
        UsageError: the settings make no sense.
        DocumentError: the policy file has faults.
        SampanError: a forward of the settings cannot listen, or the archive cannot be written.
    """

    def __init__(self, loop: Loop, settings: Settings, hooks: Iterable[Hook[Any]] = ()) -> None:
        self.settings = settings
        self.addresses = found = addresses(settings)
        self.engine = Engine(loop, network(settings), limits(settings))
        self.clock = SystemClock()
        self.aliases = Aliases(self._identify)
        self._serve_ways_out(found)
        self._serve_names_and_addresses(found)
        self._show(hooks)
        self._forwards = Forwards(self.outbound, self.directory.find)
        self._through: list[MultiplexedForwards] = []
        try:
            for forward in settings.forwards:
                self.expose(forward)
        except BaseException:  # some listen already
            self.close()
            raise

    def _serve_ways_out(self, found: Addresses) -> None:
        engine = self.engine
        own = frozenset({found.host, found.host6} - {b""})
        self.router = Router(engine.stack.network, own, HostAccess(self.settings.host_access))
        self.outbound = HostOutbound(engine, self.router)
        engine.outbound = self.outbound
        for each in self.settings.gateway_forwards:
            to = parse_ip(each.internal_ip)
            target = Target(socket.AF_INET if len(to) == 4 else socket.AF_INET6, format_ip(to))
            for address in (found.gateway, engine.stack.network.gateway6):
                port = Endpoint(address, each.external_port)
                self.outbound.lead(port, each.protocol, target, each.internal_port)

    def _serve_names_and_addresses(self, found: Addresses) -> None:
        settings, engine, stack = self.settings, self.engine, self.engine.stack
        networks = tuple(filter(None, (settings.subnet, settings.prefix6)))
        self.book = hosts.Book(domain=settings.domain, networks=networks)
        host = tuple(format_ip(each) for each in (found.host, found.host6) if each)
        gateway = (found.gateway, stack.network.gateway6)
        ours = tuple(format_ip(each) for each in gateway if each)
        names = hosts.network_names(
            host, ours, host_names=settings.host_names, gateway_names=settings.gateway_names
        )
        self.book.replace("network", names)
        self.dhcp = DhcpService(
            engine,
            _dhcp(settings, found),
            Pool(found.lowest, found.highest, dict(found.fixed)),
            self.book,
            names={parse_mac(each.mac): each.name for each in settings.fixed if each.name},
            domain=settings.domain,
            path=settings.leases_file,
        )
        sources = Sources(
            resolver=settings.resolver,
            splits=settings.splits,
            hosts=settings.hosts_files,
            loopback=format_ip(found.host),
        )
        self.dns = DnsService(engine, self.outbound, self.book, sources, self.aliases)
        NtpService(engine, self.clock)
        self.metadata = MetadataService(engine, self.outbound)  # listens once it is given something
        self.directory = Directory(stack.network, self._resolve)
        engine.observe(NeighbourLearned, self.directory.heard)
        engine.when_unplugged.append(self._unplugged)
        for mac, address in found.fixed:
            self.directory.expect(mac, address)

    def _show(self, hooks: Iterable[Hook[Any]]) -> None:
        """Gates, and what is seen of the traffic."""
        engine, gates, now = self.engine, self.outbound.gates, self.engine.loop.now
        self.events = EventLog(self.clock.wall_s)

        def names(machine: bytes, address: bytes) -> tuple[str, ...]:
            return self.aliases.names(machine, address, now())

        self.flow_table = FlowTable(engine, self.clock.wall_s, names=names, events=self.events)
        refused = self.flow_table.refused
        self.egress = Egress(self.settings.policy, self.aliases, now, refused, self.book)
        if self.settings.policy_file is not None:
            file = PolicyFile(self.settings.policy_file)
            self.egress.policy = file.policy
            policyfile.follow(engine.loop, file, self.replace_policy)
        self.hooks = Hooks(hooks)
        knowledge = Knowledge(names=names, refused=refused)
        hooked = Hooked(self.outbound, Inquiry(self.hooks, time.perf_counter), knowledge)
        gates.flow.append(self.egress.flow)
        gates.udp += [self.egress.udp, hooked.udp]
        gates.echo += [self.egress.echo, hooked.echo]
        gates.detour.append(hooked.detour)
        proxies = self.settings.proxy or ProxySettings()
        self.proxy = ProxyService(
            engine, self.outbound, proxies, names=names, permit=self.egress.admits
        )
        self.dns.gates += [self.egress.name, hooked.name]
        self.http: HttpView | None = None
        if self.settings.http_view or self.settings.har_file is not None:
            self.show_http()

    def replace_policy(self, policy: Policy) -> None:
        """Let another policy hold, at once; flows that began go on."""
        self.egress.policy = policy
        self.outbound.rules_changed()
        self.events.append("policy.replaced")

    def show_http(self) -> HttpView:
        """Follow HTTP in flows that begin from now on."""
        if self.http is None:
            self.http = HttpView(self.engine, self.flow_table.number, self.events)
            self.outbound.watch_flow = self.http.watch
            if self.settings.har_file is not None:
                from sampan import __version__  # reads package metadata: only when it is needed

                epoch_s = self.clock.wall_s() - self.engine.loop.now()
                path = self.settings.har_file
                self.http.har = HarFile(path, version=__version__, epoch_s=epoch_s)
        return self.http

    def _identify(self, address: bytes) -> bytes:
        """The MAC of who was heard under an address, however long ago; else the address."""
        return self.engine.stack.who_has(address, -math.inf) or address

    def _resolve(self, name: str) -> tuple[bytes, ...]:
        try:
            return self.book.addresses(parse_name(name)) or ()
        except ValueError:
            return ()

    def plug(self, link: Link, *, name: str, mac: bytes = b"", mtu: int | None = None) -> Plug:
        """See `UserNetwork.plug`."""
        return self.engine.plug(link, name=name, mac=mac, mtu=mtu)

    def unplug(self, plug: Plug) -> None:
        """See `UserNetwork.unplug`."""
        self.engine.unplug(plug)

    def _unplugged(self, plug: Plug) -> None:
        """A link is gone, of itself or because somebody wanted it; so are its machines."""
        for machine in self.directory.machines:
            if machine.port is plug.port:
                self.aliases.forget(machine.mac)
        self.directory.unplugged(plug.port)
        self.dhcp.refresh(self.engine.loop.now())

    def reserve(self, wanted: Fixed) -> Fixed:
        """Keep an address, any that is free if none is given, for a machine that will come.

        Raises:
            UsageError: the MAC is none, or the address is not the network's to give, or another's.
            SampanError: no address is free.
        """
        mac = parse_station(wanted.mac)
        address = fixed_address(self.settings, wanted.address) if wanted.address else None
        kept = self.dhcp.reserve(mac, address, wanted.name)
        self.directory.expect(mac, kept)
        return Fixed(mac=format_mac(mac), address=format_ip(kept), name=wanted.name)

    def expose(self, forward: Forward) -> Forward:
        """See `UserNetwork.expose`."""
        return self._forwards.expose(forward)

    def unexpose(self, forward: Forward) -> Forward:
        """See `UserNetwork.unexpose`."""
        for through in self._through:
            if any(each.place == forward.place for each in through.forwards):
                return through.unexpose(forward)
        return self._forwards.unexpose(forward)

    def open(self, guest: Endpoint) -> Flow | None:
        """Connect to a machine, as from the gateway; None: nobody is there."""
        return self._forwards.open(guest)

    def forwards(self) -> tuple[Forward, ...]:
        """See `UserNetwork.forwards`."""
        through = (each for forwards in self._through for each in forwards.forwards)
        return (*self._forwards.forwards, *through)

    def lead(self, through: MultiplexedForwards) -> None:
        """From now on the forwards of a machine's forwarder belong to the network's."""
        self._through.append(through)

    def lead_no_more(self, through: MultiplexedForwards) -> None:
        """They end, and everything of theirs."""
        self._through.remove(through)
        through.close()

    def close(self) -> None:
        """Give everything back."""
        self._forwards.close()
        for each in self._through:
            each.close()
        self.engine.close()
        if self.http is not None:
            self.http.close()
        self.dns.close()
        self.dhcp.close()
        self.outbound.close()


def _dhcp(settings: Settings, found: Addresses) -> dhcp.Settings:
    gateway = format_ip(found.gateway)
    return dhcp.Settings(
        server=gateway,
        prefix=found.prefix_length,
        router=gateway,
        resolvers=(gateway,),
        mtu=settings.mtu,
        domain=settings.domain,
        search=settings.search,
        time_servers=(gateway,),
    )
