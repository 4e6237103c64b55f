"""What machines complain of: ICMP errors about packets that we sent to them.

Theory of operation. An error quotes the packet that it is about, and by that is led to its flow.
It is believed (RFC 5927, 4) if it comes from whom the packet was for, which `inbound` has checked
to be who he says he is, and, for TCP, if the quoted number is in flight; so nobody can disturb
any flows but his own.

    TCP, opening      the connection failed: FlowReset with REFUSED or UNREACHABLE
    TCP, established  nothing (RFC 1122, 4.2.3.9: it may pass); time-outs decide
    TCP, too large    smaller segments from now on, and what is in flight again (RFC 1191, 6.5)
    UDP               DatagramRefused, for whoever sent it

It may not know how a packet is found in a frame, nor what the runtime makes of an event.
"""

from __future__ import annotations

import msgspec

from sampan.net.core import event, handshake
from sampan.net.core.endpoint import Endpoint, key_of
from sampan.net.core.event import Reason, Refusal
from sampan.net.core.flow import Flow
from sampan.net.core.ledger import Ledger
from sampan.net.core.state import State
from sampan.net.core.udp import UdpFlows
from sampan.net.wire import icmpv4, icmpv6, seqnum
from sampan.net.wire.icmpv6 import Kind
from sampan.net.wire.ipv4 import Protocol

_REFUSALS4: dict[int, Refusal] = {
    icmpv4.Unreachable.NETWORK: Refusal.NETWORK_UNREACHABLE,
    icmpv4.Unreachable.PROTOCOL: Refusal.REFUSED,
    icmpv4.Unreachable.PORT: Refusal.REFUSED,
    9: Refusal.PROHIBITED,
    10: Refusal.PROHIBITED,
    icmpv4.Unreachable.PROHIBITED: Refusal.PROHIBITED,
}
_REFUSALS6: dict[int, Refusal] = {
    icmpv6.Unreachable.NO_ROUTE: Refusal.NETWORK_UNREACHABLE,
    icmpv6.Unreachable.PROHIBITED: Refusal.PROHIBITED,
    icmpv6.Unreachable.PORT: Refusal.REFUSED,
    icmpv6.Unreachable.POLICY: Refusal.PROHIBITED,
}
_QUOTED = 8  # bytes behind the IP header, at the least


class Complaint(msgspec.Struct, frozen=True):
    """An error of either family. Without a refusal: the packet was too large for `mtu`."""

    refusal: Refusal | None
    quote: bytes
    mtu: int = 0


class Quoted(msgspec.Struct, frozen=True):
    """The packet that an error is about. `number` is TCP's sequence number."""

    protocol: int
    source: Endpoint
    destination: Endpoint
    number: int


def of_icmpv4(message: icmpv4.Message) -> Complaint | None:
    """What an error over IPv4 says; None if the message is something else."""
    if not isinstance(message, icmpv4.DestinationUnreachable):
        return None
    if message.code == icmpv4.Unreachable.FRAGMENTATION_NEEDED:
        return Complaint(None, message.quote, message.mtu)
    return Complaint(_REFUSALS4.get(message.code, Refusal.HOST_UNREACHABLE), message.quote)


def of_icmpv6(message: icmpv6.Message) -> Complaint | None:
    """As `of_icmpv4`, over IPv6."""
    if message.kind == Kind.PACKET_TOO_BIG:
        return Complaint(None, message.body, message.word)
    if message.kind == Kind.UNREACHABLE:
        return Complaint(_REFUSALS6.get(message.code, Refusal.HOST_UNREACHABLE), message.body)
    return None


def quoted(data: bytes) -> Quoted | None:
    """The packet that `data` is the beginning of; None if that cannot be told."""
    version = data[0] >> 4 if data else 0
    if version == 4 and len(data) >= 20:
        start, protocol = (data[0] & 15) * 4, data[9]
        source, destination = data[12:16], data[16:20]
    elif version == 6 and len(data) >= 40:
        start, protocol = 40, data[6]
        source, destination = data[8:24], data[24:40]
    else:
        return None
    rest = data[start : start + _QUOTED]
    if start < 20 or len(rest) < _QUOTED:
        return None
    return Quoted(
        protocol,
        Endpoint(source, int.from_bytes(rest[:2], "big")),
        Endpoint(destination, int.from_bytes(rest[2:4], "big")),
        int.from_bytes(rest[4:], "big"),
    )


def complained(ledger: Ledger, udp: UdpFlows, source: bytes, complaint: Complaint) -> None:
    """A machine with the address `source` sent an error."""
    packet = quoted(complaint.quote)
    if packet is None or packet.destination.address != source:
        return
    key = key_of(packet.destination, packet.source)
    if packet.protocol == Protocol.UDP:
        if complaint.refusal is not None:
            ledger.events.append(event.DatagramRefused(
                packet.destination, packet.source, complaint.refusal, udp.table.get(key)
            ))  # fmt: skip
    elif packet.protocol == Protocol.TCP:
        flow = ledger.flows.get(key)
        if flow is not None and _is_in_flight(flow, packet.number):
            _take(flow, complaint)


def _is_in_flight(flow: Flow, number: int) -> bool:
    return 0 <= seqnum.distance(flow.sender.una, number) < flow.sender.in_flight


def _take(flow: Flow, complaint: Complaint) -> None:
    if complaint.refusal is None:
        handshake.narrow(flow, complaint.mtu)
        flow.send_again()
    elif flow.state is State.SYN_SENT:
        refused = complaint.refusal in (Refusal.REFUSED, Refusal.PROHIBITED)
        flow.end(Reason.REFUSED if refused else Reason.UNREACHABLE)
