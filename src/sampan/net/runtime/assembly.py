"""Everything of one network put together. Belongs to the thread of its loop.

This is the one place that knows all parts: it wires services, gates and observers to the
engine, and has the methods that `usernet` and the control interface offer to others.
"""

from __future__ import annotations

from sampan.net.core.event import NeighbourLearned
from sampan.net.runtime.directory import Directory
from sampan.net.runtime.engine import Engine, Link, Plug
from sampan.net.runtime.forward.table import Forwards
from sampan.net.runtime.host.route import HostAccess, Router
from sampan.net.runtime.loop import Loop
from sampan.net.runtime.outbound import HostOutbound
from sampan.net.services.forward import Forward
from sampan.net.setting import Settings, addresses, limits, network


class Assembly:
    """A running network.

    Raises:
        UsageError: the settings make no sense.
        SampanError: a forward of the settings cannot listen.
    """

    def __init__(self, loop: Loop, settings: Settings) -> None:
        self.settings = settings
        self.addresses = found = addresses(settings)
        self.engine = Engine(loop, network(settings), limits(settings))
        hosts = frozenset({found.host, found.host6} - {b""})
        self.router = Router(self.engine.stack.network, hosts, HostAccess(settings.host_access))
        self.outbound = HostOutbound(self.engine, self.router)
        self.engine.outbound = self.outbound
        self.directory = Directory(self.engine.stack.network, lambda _: ())
        self.engine.observe(NeighbourLearned, self.directory.heard)
        for mac, address in found.fixed:
            self.directory.expect(mac, address)
        self._forwards = Forwards(self.outbound, self.directory.find)
        for forward in settings.forwards:
            self.expose(forward)

    def plug(self, link: Link, *, name: str, mac: bytes = b"", mtu: int | None = None) -> Plug:
        """See `UserNetwork.plug`."""
        return self.engine.plug(link, name=name, mac=mac, mtu=mtu)

    def unplug(self, plug: Plug) -> None:
        """See `UserNetwork.unplug`."""
        self.engine.unplug(plug)
        self.directory.unplugged(plug.port)

    def expose(self, forward: Forward) -> Forward:
        """See `UserNetwork.expose`."""
        return self._forwards.expose(forward)

    def unexpose(self, forward: Forward) -> Forward:
        """See `UserNetwork.unexpose`."""
        return self._forwards.unexpose(forward)

    def forwards(self) -> tuple[Forward, ...]:
        """See `UserNetwork.forwards`."""
        return self._forwards.forwards

    def close(self) -> None:
        """Give everything back."""
        self._forwards.close()
        for plug in list(self.engine.plugs.values()):
            self.unplug(plug)
        self.engine.settle(self.engine.loop.now())  # flows that ended with the links give theirs
        self.outbound.close()
