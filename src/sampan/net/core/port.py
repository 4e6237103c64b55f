"""A port of the switch: where one link is plugged in, and what that link can do.

Frames on a port with offload begin with a header of `head` bytes (see `wire.vnet`) and may be
up to 64 KiB long, checksums unfinished. On a port without (`head` 0), they are what Ethernet
has: no longer than the MTU, checksums made.

A frame to be sent is a tuple of buffers to be written as one (`writev`, `sendmsg`).
"""

from __future__ import annotations

from typing import TypeAlias

from sampan.net.core.limit import Limits
from sampan.net.wire import ethernet, vnet
from sampan.net.wire.checksum import Buffer

Frame: TypeAlias = tuple[Buffer, ...]
_CHECKED = int(vnet.Flag.NEEDS_CHECKSUM | vnet.Flag.DATA_VALID)  # right, or not made yet
HEADS = (0, vnet.HEADER_LENGTH, vnet.MERGED_HEADER_LENGTH)


class Port:
    """A plug. `number` names it to people; `mac`, if not empty, is the only one allowed on it.

    `verifies` is False for a link that cannot damage a frame (a local socket, shared memory):
    checksums in frames from it are believed.
    """

    __slots__ = (
        "errors", "errors_since", "flows", "frames_dropped", "frames_in", "half_open", "head",
        "ip_offset", "limits", "mac", "mtu", "number", "outgoing", "stations", "udp_flows", "verifies",
    )  # fmt: skip

    def __init__(
        self, number: int, limits: Limits, *, head: int = 0, mtu: int = 1500, mac: bytes = b"",
        verifies: bool = True,
    ) -> None:  # fmt: skip
        if head not in HEADS:
            raise ValueError(f"an offload header has {HEADS[1]} or {HEADS[2]} bytes, not {head}")
        self.number = number
        self.limits = limits
        self.head = head
        self.ip_offset = head + ethernet.HEADER_LENGTH
        self.mtu = mtu
        self.mac = mac
        self.verifies = verifies
        self.outgoing: list[Frame] = []
        self.stations = 0
        self.flows = 0
        self.half_open = 0
        self.udp_flows = 0
        self.frames_in = 0
        self.frames_dropped = 0
        self.errors = 0
        self.errors_since = 0.0

    def trusts(self, frame: memoryview) -> bool:
        """Whether the checksum of what IP carries need not be looked at."""
        return not self.verifies or (self.head != 0 and frame[0] & _CHECKED != 0)

    def send(self, *buffers: Buffer) -> None:
        """Queue one frame, unless too many wait already; for what may be lost."""
        if len(self.outgoing) < self.limits.queued_frames:
            self.outgoing.append(buffers)
        else:
            self.frames_dropped += 1

    def send_plain(self, data: bytes) -> None:
        """Queue an Ethernet frame with nothing left for the device to do."""
        self.send(bytes(self.head) + data if self.head else data)

    def may_complain(self, now: float) -> bool:
        """Whether one more error message may be sent to this port; counts it."""
        if now - self.errors_since >= 1.0:
            self.errors_since, self.errors = now, 0
        self.errors += 1
        return self.errors <= self.limits.errors_per_s
