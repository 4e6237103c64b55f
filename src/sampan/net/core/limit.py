"""How much of everything: the bounds that keep a machine's behaviour its own problem."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one stack. Sizes in bytes, times in seconds.

    For each port, because one machine must not use up another's share: `flows` (TCP),
    `half_open` (of those, the ones whose handshake is not over), `udp_flows`, `addresses` (MACs
    and IPs it may have). For the whole stack: everything whose name says `total`.

    A flow has at most `receive_window` unread in it, and `send_window` unacknowledged. Once
    `kept_total` bytes wait for host sockets, flows that already wait take no more data. There
    are at most `buffers_total` send buffers of 64 KiB.
    """

    flows: int = 4096
    half_open: int = 512
    udp_flows: int = 2048
    addresses: int = 64

    receive_window: int = 1 << 20
    send_window: int = 1 << 20
    first_window: int = 1 << 18
    kept_total: int = 32 << 20
    buffers_total: int = 512
    out_of_order: int = 256  # pieces that a flow holds beside the stream

    offer_s: float = 130.0  # how long a connection may wait for the host; Linux's SYNs take 127
    delayed_ack_s: float = 0.02
    retransmissions: int = 8
    keepalive_s: float = 600.0
    keepalive_interval_s: float = 15.0
    keepalive_probes: int = 6
    idle_s: float = 86400.0  # a flow without data, even if its machine answers probes
    half_closed_s: float = 120.0  # in FIN_WAIT_2 without a word
    time_wait_s: float = 0.5
    time_wait_total: int = 1024

    udp_idle_s: float = 60.0
    udp_answered_idle_s: float = 180.0
    datagrams: int = 256  # of one UDP flow in one batch

    fragments_total: int = 1 << 20
    fragmented_packets: int = 64
    fragment_s: float = 15.0

    neighbour_s: float = 600.0
    queued_frames: int = 4096  # that wait for a port; more are dropped
    errors_per_s: int = 100  # RSTs without a flow and ICMP errors, for each port
    names_per_s: int = 500  # questions that DNS passes on for each port
