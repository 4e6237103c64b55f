"""One connection over virtio-vsock, as `vsock.Switchboard` keeps it and others may ask of it."""

from __future__ import annotations

import math
from enum import Enum, auto

from sampan.vhost.core.vsock_credit import Inflow, Outflow
from sampan.vhost.core.vsock_packet import Shut


class State(Enum):
    """How far a connection is."""

    REQUESTED = auto()  # by the host; the driver has not answered
    OFFERED = auto()  # by the driver; the host has not answered
    OPEN = auto()
    CLOSING = auto()  # the host has gone; the driver is to say RST
    ENDED = auto()


class Connection:
    """One connection; made by `Switchboard`."""

    __slots__ = (
        "deadline", "guest_port", "guest_said", "host_port", "inflow", "is_mute", "is_queued",
        "outflow", "owed", "said", "state",
    )  # fmt: skip

    def __init__(self, guest_port: int, host_port: int, state: State, buffer: int) -> None:
        self.guest_port = guest_port
        self.host_port = host_port
        self.state = state
        self.inflow = Inflow(buffer)
        self.outflow = Outflow()
        self.guest_said = Shut.NOTHING
        self.said = Shut.NOTHING
        self.is_mute = False  # no data for the driver any more
        self.owed = 0  # control packets that have not been sent
        self.is_queued = False
        self.deadline = math.inf

    @property
    def room(self) -> int:
        """How many bytes of data may be sent to the driver now."""
        return 0 if self.is_mute or self.state is not State.OPEN else self.outflow.room

    @property
    def is_over(self) -> bool:
        """Whether the guest has nothing to do with it any more."""
        return self.state is State.ENDED
