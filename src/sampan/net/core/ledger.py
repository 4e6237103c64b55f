"""What the flows of one stack share: the table, timers, buffers, and what is to be told or sent.

Timers are a heap of (time, number, flow). A flow has at most one entry that counts, the
earliest; deadlines that move later are left alone and found to be too early when they come up,
so that the fast path never touches the heap. Entries that no longer count, most of them of flows
that are over, are thrown out once they are the greater part: a flow's last deadline may be many
minutes away, and it must not be kept until then.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from sampan.net.core import event
from sampan.net.core.buffer import Account, Pool
from sampan.net.core.limit import Limits
from sampan.net.core.network import Network

if TYPE_CHECKING:
    from sampan.net.core.flow import Flow

Entropy = Callable[[int], bytes]
_MIN_STALE = 256


class Ledger:
    """The shared part. `acks` and `readable` may name a flow twice, or a dead one."""

    __slots__ = (
        "account", "acks", "entropy", "events", "flows", "limits", "network", "now", "pool",
        "readable", "serial", "stale", "starved", "time_wait", "timers", "unreachable",
    )  # fmt: skip

    def __init__(
        self,
        network: Network,
        limits: Limits,
        entropy: Entropy,
        unreachable: Callable[[Flow, event.Refusal], None],
    ) -> None:
        self.network = network
        self.limits = limits
        self.entropy = entropy
        self.unreachable = unreachable
        self.pool = Pool(limits.buffers_total)
        self.account = Account(limits.kept_total)
        self.events: list[event.Event] = []
        self.flows: dict[bytes, Flow] = {}
        self.acks: list[Flow] = []  # may owe an acknowledgment
        self.readable: list[Flow] = []  # were told to have data, which is in the link's buffers
        self.starved: OrderedDict[Flow, None] = OrderedDict()  # had room, but there was no buffer
        self.time_wait: OrderedDict[Flow, None] = OrderedDict()
        self.timers: list[tuple[float, int, Flow]] = []
        self.serial = 0
        self.stale = 0  # entries of `timers` that no longer count
        self.now = 0.0

    def arm(self, flow: Flow, when: float) -> None:
        """See to `flow` no later than `when`."""
        if when < flow.armed:
            if flow.armed != math.inf:
                self.stale += 1
            flow.armed = when
            self.serial += 1
            heapq.heappush(self.timers, (when, self.serial, flow))

    def next_timer(self) -> float:
        """When `due` has something to give, at the earliest."""
        return self.timers[0][0] if self.timers else math.inf

    def due(self, now: float) -> list[Flow]:
        """The flows whose time has come; each must be armed again."""
        flows = []
        while self.timers and self.timers[0][0] <= now:
            when, _, flow = heapq.heappop(self.timers)
            if flow.armed == when:
                flow.armed = math.inf
                flows.append(flow)
            else:
                self.stale -= 1
        return flows

    def disarm(self, flow: Flow) -> None:
        """Never see to `flow` again."""
        if flow.armed == math.inf:
            return
        flow.armed = math.inf
        self.stale += 1
        if self.stale > _MIN_STALE and self.stale * 2 > len(self.timers):
            self.timers = [entry for entry in self.timers if entry[2].armed == entry[0]]
            heapq.heapify(self.timers)
            self.stale = 0

    def feed(self) -> None:
        """Tell flows that waited for a buffer that there is one: the first, and no more than there are."""
        for _ in range(min(self.pool.available, len(self.starved))):
            flow, _ = self.starved.popitem(last=False)
            flow.unblock()

    def keep(self) -> None:
        """The link's buffers are about to be used again."""
        for flow in self.readable:
            flow.is_readable = False
            if flow.receiver.inbox:
                flow.receiver.keep()
        self.readable.clear()
