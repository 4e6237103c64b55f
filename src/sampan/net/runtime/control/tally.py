"""How much has happened on a network: counted as its engine tells of it, once for each flow."""

from __future__ import annotations

from collections import Counter

from sampan.net.core import event
from sampan.net.core.flow import Flow
from sampan.net.core.port import Port
from sampan.net.core.udp import UdpFlow
from sampan.net.runtime.engine import Engine

_NAMES = (
    "tcp_opened", "tcp_forwarded", "tcp_closed", "tcp_reset", "udp_closed", "pings",
    "service_datagrams",
)  # fmt: skip


class Tally:
    """Counts from its beginning on. Bytes are payload, of flows that are over."""

    def __init__(self, engine: Engine) -> None:
        self.counters: Counter[str] = Counter(dict.fromkeys(_NAMES, 0))
        self._bytes: dict[Port, list[int]] = {}
        engine.observe(event.FlowOpened, lambda _, now: self._count("tcp_opened"))
        engine.observe(event.FlowEstablished, self._established)
        engine.observe(event.FlowClosed, lambda each, now: self._over(each.flow, "tcp_closed"))
        engine.observe(event.FlowReset, lambda each, now: self._over(each.flow, "tcp_reset"))
        engine.observe(event.UdpFlowClosed, lambda each, now: self._over(each.flow, "udp_closed"))
        engine.observe(event.EchoRequested, lambda _, now: self._count("pings"))
        engine.observe(event.ServiceDatagram, lambda _, now: self._count("service_datagrams"))

    def traffic(self, port: Port) -> tuple[int, int]:
        """What machines of a port have sent and received by flows that are over."""
        sent, received = self._bytes.get(port, (0, 0))
        return sent, received

    def unplugged(self, ports: set[Port]) -> None:
        """Only these ports are left: forget the others'."""
        self._bytes = {port: counts for port, counts in self._bytes.items() if port in ports}

    def _count(self, name: str) -> None:
        self.counters[name] += 1

    def _established(self, each: event.FlowEstablished, now: float) -> None:
        if each.flow.is_active:
            self._count("tcp_forwarded")

    def _over(self, flow: Flow | UdpFlow, name: str) -> None:
        self._count(name)
        counts = self._bytes.setdefault(flow.port, [0, 0])
        counts[0] += flow.received
        counts[1] += flow.delivered
