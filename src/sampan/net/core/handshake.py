"""What a SYN says and is answered with: window scale, segment size, SACK, timestamps.

An option is used only where both sides name it. The segment size is what the machine takes
and the port's MTU carries, whichever is less; our own side is clamped to the MTU too, so
that a machine with a larger interface sends nothing that would have to be fragmented.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from sampan.net.core import state
from sampan.net.wire import tcp

if TYPE_CHECKING:
    from sampan.net.core.flow import Flow

MIN_MSS = 88  # whatever a machine says; less would only cost us
MAX_PAYLOAD = 65535 - 20 - 32  # of one IPv4 packet, beside timestamps
_DEFAULT_MSS6 = 1220  # RFC 9293, 3.7.1
_STAMPS = 12
_SYN, _SYN_ACK = 0x02, 0x12  # `wire.tcp.Flag` as plain, quick ints


def largest_segment(flow: Flow) -> int:
    """The payload of a full packet on the flow's port, in bytes, options not counted."""
    return flow.port.mtu - (60 if len(flow.guest.address) == 16 else 40)


def negotiate(flow: Flow, segment: tcp.Segment) -> None:
    """The machine's SYN has come: settle how the flow will work."""
    offer = flow.options = segment.options
    six = len(flow.guest.address) == 16
    flow.receiver.opened(segment.sequence, scaled=offer.window_shift is not None)
    flow.sack = offer.sack_permitted
    flow.stamped = flow.ledger.network.timestamps and offer.timestamp is not None
    if offer.timestamp:
        flow.stamp = offer.timestamp[0]
    overhead = _STAMPS if flow.stamped else 0
    default = _DEFAULT_MSS6 if six else tcp.DEFAULT_MSS
    mss = max(min(offer.mss or default, largest_segment(flow)), MIN_MSS) - overhead
    _size(flow, mss)
    sender = flow.sender
    sender.shift = min(offer.window_shift or 0, tcp.MAX_WINDOW_SHIFT)
    sender.field = -1  # whatever comes next is news: a SYN's window is not scaled
    sender.window = segment.window
    flow.window_from = segment.sequence
    flow.header_size = (20 if six else 40) + overhead


def narrow(flow: Flow, mtu: int) -> None:
    """Packets to the machine may have `mtu` bytes and no more: what is in flight has to go again.

    One that names no MTU, as routers before RFC 1191 did, gets what everybody must take.
    """
    headers = (60 if len(flow.guest.address) == 16 else 40) + flow.template.options
    mss = max((mtu or tcp.DEFAULT_MSS + 40) - headers, MIN_MSS)
    if mss < flow.sender.mss:
        _size(flow, mss)
        flow.sender.lose_all()


def _size(flow: Flow, mss: int) -> None:
    flow.template.sized(mss, stamped=flow.stamped)
    flow.sender.sized(mss, max(MAX_PAYLOAD - MAX_PAYLOAD % mss, mss))


def send_syn(flow: Flow) -> None:
    """SYN or SYN-ACK, for the first time or again."""
    answer = flow.state is state.SYN_RECEIVED
    scaled = not answer or flow.options.window_shift is not None
    stamped = flow.stamped if answer else flow.ledger.network.timestamps
    shift = flow.receiver.scale_for() if scaled else None
    options = _options(
        largest_segment(flow), shift, flow.sack or not answer, flow.stamps if stamped else None
    )
    flow.port.send(flow.template.header(
        flow.sender.una, flow.receiver.next if answer else 0,
        _SYN_ACK if answer else _SYN, flow.receiver.syn_window(), options,
    ))  # fmt: skip


@lru_cache(maxsize=64)  # without timestamps they are the same for all flows of a port
def _options(mss: int, shift: int | None, sack: bool, stamps: tuple[int, int] | None) -> bytes:
    return tcp.Options(mss, shift, sack, stamps).emit()
