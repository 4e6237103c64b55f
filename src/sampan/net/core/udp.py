"""UDP: flows of datagrams between a machine and somebody, and datagrams for our services.

Theory of operation. The first datagram from one endpoint to another makes a flow; it ends when
it was idle for a time, which is longer once it was answered (RFC 4787, 4.3). Datagrams are
told as views of the link's buffers, valid until the next batch: what the runtime does not take
by then is lost, as datagrams are. Answers go through `UdpFlow.reply`; from anybody else than the
flow's remote, through `Stack.send_datagram`.

Idle flows are found in a heap of times: a flow that has been used since it was put there is
put there again.
"""

from __future__ import annotations

import heapq
import math
import struct

from sampan.net.core import event
from sampan.net.core.delivery import Delivery
from sampan.net.core.endpoint import Endpoint, key_of
from sampan.net.core.icmp import Icmp, Station, quote_flow
from sampan.net.core.limit import Limits
from sampan.net.core.port import Port
from sampan.net.wire import ipv4, udp, vnet
from sampan.net.wire.checksum import Buffer, pseudo_sum, residue, word_sum
from sampan.net.wire.ethernet import EtherType

_FAST4 = struct.Struct("!14sBxHxxHxB2x12sHH")
_MIN_FRAME4 = 42
_PROTOCOL = int(ipv4.Protocol.UDP)
_MIN_STALE = 256


class UdpFlow:
    """Datagrams between two endpoints. `context` belongs to the runtime.

    `received` and `delivered` count payload bytes.
    """

    __slots__ = (
        "_closed", "_header", "_ip_sum", "_pseudo", "_waiting", "context", "delivered", "ethernet",
        "flows", "guest", "is_answered", "key", "mac", "port", "received", "remote", "used",
    )  # fmt: skip

    def __init__(
        self, flows: UdpFlows, port: Port, mac: bytes, guest: Endpoint, remote: Endpoint
    ) -> None:
        self.context: object = None
        self.flows = flows
        self.port, self.mac = port, mac
        self.guest, self.remote = guest, remote
        self.key = key_of(guest, remote)
        self.is_answered = False
        self.used = flows.now
        self.received = self.delivered = 0
        self._closed = False
        self._waiting: list[Buffer] = []
        self.ethernet = flows.mac + mac + EtherType.IPV4.to_bytes(2, "big")
        self._header = struct.Struct(f"!{port.head}s16sH6sH12sHH")
        self._ip_sum = 0x4500 + ipv4.DONT_FRAGMENT + (64 << 8) + ipv4.Protocol.UDP
        self._ip_sum += word_sum(guest.address + remote.address)
        self._pseudo = pseudo_sum(guest.address, remote.address, ipv4.Protocol.UDP, 0)

    def datagrams(self) -> list[Buffer]:
        """The payloads that came in this batch; they are taken out, and valid as long as it is."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def deliver(self, payload: Buffer) -> None:
        """A datagram from the machine."""
        if self._closed:
            return
        self.used = self.flows.now
        self.received += len(payload)
        if not self._waiting:
            self.flows.events.append(event.DatagramsReceived(self))
            self.flows.ready.append(self)
        if len(self._waiting) < self.flows.limits.datagrams:
            self._waiting.append(payload)

    def drop_waiting(self) -> None:
        """The link's buffers are about to be used again."""
        self._waiting.clear()

    def reply(self, payload: Buffer, now: float) -> None:
        """Send a datagram from the remote to the machine. `payload` is copied."""
        flows, port = self.flows, self.port
        flows.now = self.used = now
        self.is_answered = True
        self.delivered += len(payload)
        total = ipv4.HEADER_LENGTH + udp.HEADER_LENGTH + len(payload)
        if len(self.guest.address) == 16 or total > port.mtu:
            data = bytes(payload)
            flows.delivery.datagram(port, self.mac, self.remote, self.guest, data)
            return
        length = total - ipv4.HEADER_LENGTH
        partial = (self._pseudo + length) % 0xFFFF
        if port.head:
            offload = vnet.HEADER.pack(vnet.Flag.NEEDS_CHECKSUM, 0, 0, 0, 34, 6)
            offload = offload.ljust(port.head, b"\0")
        else:
            offload = b""
            ports = self.remote.port + self.guest.port
            words = partial + ports + length + word_sum(payload)
            partial = 0xFFFF - words % 0xFFFF
        header = self._header.pack(
            offload, self.mac + flows.mac + b"\x08\x00\x45\x00", total,
            b"\0\0\x40\0\x40\x11", 0xFFFF - (self._ip_sum + total) % 0xFFFF,
            key_of(self.remote, self.guest), length, partial,
        )  # fmt: skip
        port.send(header + payload)

    def refuse(self, refusal: event.Refusal, now: float) -> None:
        """The host says that the datagrams do not arrive: tell the machine. The flow lives on."""
        station = Station(self.port, self.mac, self.guest.address)
        quoted = quote_flow(self.guest, self.remote, ipv4.Protocol.UDP, b"\0\x08\0\0")
        self.flows.icmp.unreachable(station, refusal, quoted, now)

    def close(self) -> None:
        """Forget the flow, without an event."""
        if not self._closed:
            self._closed = True
            self._waiting.clear()
            self.port.udp_flows -= 1
            self.flows.forgotten(self)


class UdpFlows:
    """All UDP flows of a stack."""

    __slots__ = (
        "_serial", "_timers", "delivery", "events", "icmp", "limits", "mac", "now", "ready", "table",
    )  # fmt: skip

    def __init__(
        self, mac: bytes, limits: Limits, delivery: Delivery, icmp: Icmp, events: list[event.Event]
    ) -> None:
        self.mac = mac
        self.limits = limits
        self.delivery = delivery
        self.icmp = icmp
        self.events = events
        self.table: dict[bytes, UdpFlow] = {}
        self.ready: list[UdpFlow] = []
        self.now = 0.0
        self._serial = 0
        self._timers: list[tuple[float, int, UdpFlow]] = []

    def frame4(self, port: Port, frame: memoryview) -> bool:
        """Whether the frame was a whole IPv4 datagram of a known flow, and has been taken in."""
        head = port.head
        if len(frame) < head + _MIN_FRAME4:
            return False
        link, version, total, fragment, protocol, key, length, given = _FAST4.unpack_from(
            frame, head
        )
        flow = self.table.get(key)
        if (
            flow is None
            or protocol != _PROTOCOL
            or link != flow.ethernet
            or version != 0x45
            or fragment & 0x3FFF
            or flow.port is not port
            or length != total - ipv4.HEADER_LENGTH
        ):
            return False
        end = head + 14 + total
        if end > len(frame) or length < udp.HEADER_LENGTH:
            return False
        if given and not port.trusts(frame):
            words = residue(frame[head + 26 : end]) + _PROTOCOL + length
            if words % 0xFFFF:
                return False
        flow.deliver(frame[head + _MIN_FRAME4 : end])
        return True

    def received(
        self, port: Port, mac: bytes, guest: Endpoint, remote: Endpoint, payload: bytes
    ) -> None:
        """A datagram by the slow path: of a flow, or the first of one. Over the limits it is lost."""
        key = key_of(guest, remote)
        flow = self.table.get(key)
        if flow is None:
            if port.udp_flows >= self.limits.udp_flows or not remote.port or not guest.port:
                return
            flow = self.table[key] = UdpFlow(self, port, mac, guest, remote)
            port.udp_flows += 1
            self._look_at(flow, self.now + self.limits.udp_idle_s)
        if flow.port is port:
            flow.deliver(payload)

    def _look_at(self, flow: UdpFlow, when: float) -> None:
        self._serial += 1
        heapq.heappush(self._timers, (when, self._serial, flow))

    def forgotten(self, flow: UdpFlow) -> None:
        """A flow is over; its entry in the heap is thrown out, when there are many such."""
        self.table.pop(flow.key, None)
        if len(self._timers) > 2 * len(self.table) + _MIN_STALE:
            alive = self.table
            self._timers = [each for each in self._timers if alive.get(each[2].key) is each[2]]
            heapq.heapify(self._timers)

    def next_timer(self) -> float:
        """When the next flow may have been idle for too long."""
        return self._timers[0][0] if self._timers else math.inf

    def timer_fired(self, now: float) -> None:
        """End the flows that were idle for too long."""
        self.now = now
        while self._timers and self._timers[0][0] <= now:
            _, _, flow = heapq.heappop(self._timers)
            if self.table.get(flow.key) is not flow:
                continue
            limits = self.limits
            idle = limits.udp_answered_idle_s if flow.is_answered else limits.udp_idle_s
            if flow.used + idle <= now:
                self._end(flow)
            else:
                self._look_at(flow, flow.used + idle)

    def drop_waiting(self) -> None:
        """The link's buffers are about to be used again."""
        for flow in self.ready:
            flow.drop_waiting()
        self.ready.clear()

    def forget(self, port: Port) -> None:
        """A port was removed, with all its flows."""
        for flow in [each for each in self.table.values() if each.port is port]:
            self._end(flow)

    def _end(self, flow: UdpFlow) -> None:
        flow.close()
        self.events.append(event.UdpFlowClosed(flow))
