"""A running `Assembly` as the control API sees it, and the API served for it.

    with UserNetwork(settings) as network, serving(network, path, name="web"):
        ...

All of `Assembled` is called in the thread of the network's loop.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

import sampan
from sampan.base.loop import LoopClosedError
from sampan.errors import UsageError
from sampan.net.runtime.assembly import Assembly
from sampan.net.runtime.control import model, tunnel
from sampan.net.runtime.control.api import table
from sampan.net.runtime.control.door import Door
from sampan.net.runtime.control.fault import NotFoundError
from sampan.net.runtime.control.message import Takeover
from sampan.net.runtime.control.recording import Pulled, Recording
from sampan.net.runtime.control.server import Server
from sampan.net.runtime.control.tally import Tally
from sampan.net.runtime.service.dhcp import LeaseRecord
from sampan.net.runtime.usernet import UserNetwork
from sampan.net.runtime.view.flowtable import FlowRecord
from sampan.net.services.dhcp import Leased, Released
from sampan.net.services.forward import Forward
from sampan.net.services.policy import Policy
from sampan.net.setting import Fixed, parse_station
from sampan.net.wire.address import format_ip, format_mac, parse_ip
from sampan.net.wire.dns import parse_name


class Assembled:
    """See `control.network.Controlled`. `stop` ends the network; it is called in the loop."""

    def __init__(
        self,
        assembly: Assembly,
        *,
        name: str,
        listens: tuple[str, ...] = (),
        stop: Callable[[], None],
    ) -> None:
        self.stop = stop
        self.recording = Recording(assembly)
        self._assembly = assembly
        self._name = name
        self._listens = listens
        self._door = Door(assembly)
        self._tally = Tally(assembly.engine)
        self._since = assembly.engine.loop.now()
        assembly.dhcp.observers.append(self._leased)

    def close(self) -> None:
        """End what clients began: captures, places where machines connect."""
        self.recording.close()
        self._door.close()

    def info(self) -> model.NetworkRecord:
        """See `Controlled.info`."""
        settings, found = self._assembly.settings, self._assembly.addresses
        return model.NetworkRecord(
            name=self._name,
            version=sampan.__version__,
            pid=os.getpid(),
            subnet=settings.subnet,
            gateway=format_ip(found.gateway),
            host=format_ip(found.host),
            prefix6=settings.prefix6,
            mtu=settings.mtu,
            host_access=settings.host_access,
            listens=(*self._listens, *self._door.added),
        )

    def forwards(self) -> tuple[Forward, ...]:
        """See `Controlled.forwards`."""
        return self._assembly.forwards()

    def expose(self, forward: Forward) -> Forward:
        """See `Controlled.expose`."""
        return self._assembly.expose(forward)

    def unexpose(self, forward: Forward) -> Forward:
        """See `Controlled.unexpose`."""
        return self._assembly.unexpose(forward)

    def flows(self) -> tuple[FlowRecord, ...]:
        """See `Controlled.flows`."""
        return tuple(self._assembly.flow_table.records())

    def leases(self) -> tuple[LeaseRecord, ...]:
        """See `Controlled.leases`."""
        return self._assembly.dhcp.leases(self._assembly.engine.loop.now())

    def _leased(self, event: Leased | Released, now: float) -> None:
        """What happens to leases is of interest to who follows events."""
        if isinstance(event, Leased):
            kind, mac, ip, name = "lease.given", event.lease.mac, event.lease.ip, event.lease.name
        else:
            kind, mac, ip, name = "lease.ended", event.mac, event.ip, ""
        said = model.LeaseEvent(mac=format_mac(mac), address=format_ip(ip), name=name)
        self._assembly.events.append(kind, said)

    def links(self) -> tuple[model.LinkRecord, ...]:
        """See `Controlled.links`."""
        engine = self._assembly.engine
        self._tally.unplugged(set(engine.plugs))
        running: dict[str, list[int]] = {}
        for flow in self._assembly.flow_table.records():
            counts = running.setdefault(flow.link, [0, 0])
            counts[0] += flow.sent
            counts[1] += flow.received
        found = []
        for port, plug in engine.plugs.items():
            sent, received = self._tally.traffic(port)
            now = running.get(plug.name, (0, 0))
            machines = self._assembly.directory.machines
            found.append(
                model.LinkRecord(
                    id=port.number,
                    name=plug.name,
                    mtu=port.mtu,
                    macs=tuple(format_mac(each.mac) for each in machines if each.port is port),
                    frames=port.frames_in,
                    dropped=port.frames_dropped,
                    flows=port.flows + port.udp_flows,
                    sent=sent + now[0],
                    received=received + now[1],
                )
            )
        return tuple(found)

    def add_link(self, asked: model.LinkAsked) -> model.LinkAsked:
        """See `Controlled.add_link`."""
        return model.LinkAsked(listen=self._door.add(asked.listen))

    def remove_link(self, asked: model.LinkAsked) -> None:
        """See `Controlled.remove_link`."""
        self._door.remove(asked.listen)

    def stats(self) -> model.Stats:
        """See `Controlled.stats`."""
        engine = self._assembly.engine
        ports = tuple(engine.plugs)
        gauges = {
            "links": len(ports),
            "flows_tcp": sum(port.flows for port in ports),
            "flows_half_open": sum(port.half_open for port in ports),
            "flows_udp": sum(port.udp_flows for port in ports),
            "leases": len(self.leases()),
            "forwards": len(self.forwards()),
            "events": self._assembly.events.last,
        }
        counters = dict(self._tally.counters)
        counters["frames"] = sum(port.frames_in for port in ports)
        counters["frames_dropped"] = sum(port.frames_dropped for port in ports)
        uptime = engine.loop.now() - self._since
        return model.Stats(uptime_s=uptime, counters=counters, gauges=gauges)

    def names(self) -> tuple[model.NameRecord, ...]:
        """See `Controlled.names`."""
        found: dict[str, tuple[str, ...]] = {}
        for entry in self._assembly.dns.added.entries:
            for name in entry.names:
                found[name] = (*found.get(name, ()), entry.address)
        return tuple(model.NameRecord(name=name, addresses=each) for name, each in found.items())

    def add_name(self, name: model.NameRecord) -> None:
        """See `Controlled.add_name`.

        Raises:
            UsageError: the name or an address is none, or there are too many.
        """
        key = _folded(name.name)
        try:
            addresses = [format_ip(parse_ip(each)) for each in name.addresses]
            if not parse_name(key) or not addresses:
                raise ValueError("it has no name, or no addresses")
            self._assembly.dns.remove(key)
            for address in addresses:
                self._assembly.dns.add(key, address)
        except ValueError as error:
            raise UsageError(f"this cannot be a name with addresses: {error}") from None

    def remove_name(self, name: str) -> None:
        """See `Controlled.remove_name`.

        Raises:
            NotFoundError: it was not added.
        """
        key = _folded(name)
        if not self._assembly.dns.remove(key):
            raise NotFoundError(
                f"the name {key} was not added", hint="sampan net dns ls lists those that were"
            )

    def reservations(self) -> tuple[model.Reservation, ...]:
        """See `Controlled.reservations`."""
        names = self._assembly.dhcp.names.fixed
        return tuple(
            model.Reservation(mac=format_mac(mac), address=format_ip(ip), name=names.get(mac, ""))
            for mac, ip in self._assembly.dhcp.fixed.items()
        )

    def reserve(self, asked: model.Reservation) -> model.Reservation:
        """See `Controlled.reserve`.

        Raises:
            UsageError: the MAC is none, or the address is not the network's to give, or another's.
            SampanError: no address is free.
        """
        wanted = Fixed(mac=asked.mac, address=asked.address, name=asked.name)
        kept = self._assembly.reserve(wanted)
        return model.Reservation(mac=kept.mac, address=kept.address, name=kept.name)

    def end_reservation(self, mac: str) -> None:
        """See `Controlled.end_reservation`.

        Raises:
            NotFoundError: there is none.
        """
        if not self._assembly.dhcp.unfix(parse_station(mac)):
            raise NotFoundError(f"nothing is reserved for {mac}")

    def captures(self) -> tuple[model.CaptureRecord, ...]:
        """See `Controlled.captures`."""
        return self.recording.files()

    def start_capture(self, asked: model.CaptureAsked) -> model.CaptureRecord:
        """See `Controlled.start_capture`."""
        return self.recording.to_file(asked)

    def stop_capture(self, capture: str) -> None:
        """See `Controlled.stop_capture`."""
        self.recording.stop(capture)

    def stream_capture(self, asked: model.CaptureStream, wake: Callable[[], None]) -> Pulled:
        """See `Controlled.stream_capture`."""
        return self.recording.to_client(asked, wake)

    def tunnel(self, asked: model.TunnelAsked) -> Takeover:
        """See `Controlled.tunnel`."""
        return tunnel.to_machine(self._assembly, asked)

    def connect(self) -> Takeover:
        """See `Controlled.connect`."""
        return tunnel.as_link(self._assembly)

    def policy(self) -> Policy:
        """See `Controlled.policy`."""
        return self._assembly.egress.policy

    def replace_policy(self, policy: Policy) -> None:
        """See `Controlled.replace_policy`."""
        self._assembly.replace_policy(policy)

    def view_http(self) -> None:
        """See `Controlled.view_http`."""
        self._assembly.show_http()

    def events(self, after: int, limit: int) -> list[model.EventRecord]:
        """See `Controlled.events`."""
        return [
            model.EventRecord(
                number=each.number,
                time_s=each.time_s,
                kind=each.kind,
                data={} if each.data is None else msgspec.to_builtins(each.data),
            )
            for each in self._assembly.events.after(after)[:limit]
        ]

    def follow(self, wake: Callable[[], None]) -> Callable[[], None]:
        """See `Controlled.follow`."""
        return self._assembly.events.follow(lambda _: wake())


@contextmanager
def serving(
    network: UserNetwork,
    path: Path,
    *,
    name: str,
    listens: tuple[str, ...] = (),
    stop: Callable[[], None] = lambda: None,
) -> Iterator[Assembled]:
    """Serve the control API of a network at `path`, for as long as the block lasts.

    `stop` is called, in the loop's thread, when a client wants the network to end.

    Raises:
        SampanError: the socket cannot be made, or another network answers there.
    """

    def begin(assembly: Assembly) -> tuple[Assembled, Server]:
        controlled = Assembled(assembly, name=name, listens=listens, stop=stop)
        answers = table(controlled)
        return controlled, Server(assembly.engine.loop, path, answers.answer)

    controlled, server = network.call(begin)

    def end() -> None:
        server.close()
        controlled.close()

    try:
        yield controlled
    finally:
        try:
            network.call(lambda _: end())
        except LoopClosedError:  # its thread is over: this one may
            end()


def _folded(name: str) -> str:
    return name.lower().removesuffix(".")
