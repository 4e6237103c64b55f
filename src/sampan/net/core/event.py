"""What happened, for the runtime to act on. Each event says what is expected in answer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from sampan.net.core.endpoint import Endpoint
    from sampan.net.core.flow import Flow
    from sampan.net.core.port import Port
    from sampan.net.core.udp import UdpFlow


class Reason(Enum):
    """Why a flow ended badly."""

    RESET = "reset by the machine"
    REFUSED = "refused by the machine"
    TIMED_OUT = "the machine no longer answers"
    IDLE = "nothing happened for too long"
    GONE = "the machine's port was removed"


class Refusal(Enum):
    """Why a connection or datagram cannot reach where it was meant to go."""

    REFUSED = "refused"  # RST, or port unreachable
    HOST_UNREACHABLE = "host unreachable"
    NETWORK_UNREACHABLE = "network unreachable"
    PROHIBITED = "prohibited"
    TIMED_OUT = "timed out"  # silence, as it would be


@dataclass(frozen=True, slots=True)
class FlowOpened:
    """A machine wants a connection to `flow.remote`. Connect, then `accept` or `refuse` it."""

    flow: Flow


@dataclass(frozen=True, slots=True)
class FlowEstablished:
    """The handshake is over; from now on there may be `room()`."""

    flow: Flow


@dataclass(frozen=True, slots=True)
class DataReceived:
    """There is `data()`. Hand it to the host and say how much was `consumed`."""

    flow: Flow


@dataclass(frozen=True, slots=True)
class RoomOpened:
    """`room()` was 0 and no longer is. Read from the host again."""

    flow: Flow


@dataclass(frozen=True, slots=True)
class FlowFinished:
    """The machine will send no more. Shut the host's side down once all data is consumed."""

    flow: Flow


@dataclass(frozen=True, slots=True)
class FlowClosed:
    """Both sides have finished, and the flow is forgotten."""

    flow: Flow


@dataclass(frozen=True, slots=True)
class FlowReset:
    """The flow is gone. Close the host's side, with a reset where there is such a thing."""

    flow: Flow
    reason: Reason


@dataclass(frozen=True, slots=True)
class DatagramsReceived:
    """A UDP flow has `datagrams()`; the first of these events is its beginning."""

    flow: UdpFlow


@dataclass(frozen=True, slots=True)
class UdpFlowClosed:
    """A UDP flow was idle for too long, or its port is gone. Close its socket."""

    flow: UdpFlow


@dataclass(frozen=True, slots=True)
class ServiceDatagram:
    """A datagram for one of the network's services; answer with `Stack.send_datagram`."""

    port: Port
    mac: bytes
    source: Endpoint
    destination: Endpoint
    payload: bytes


@dataclass(frozen=True, slots=True)
class EchoRequested:
    """A machine pings somebody else; answer with `Stack.send_echo_reply` or `Stack.send_error`."""

    port: Port
    source: bytes
    destination: bytes
    identifier: int
    sequence: int
    payload: bytes
    hop_limit: int
    quote: bytes


@dataclass(frozen=True, slots=True)
class NeighbourLearned:
    """A station with this address is at this port."""

    port: Port
    address: bytes
    mac: bytes


Event: TypeAlias = (
    FlowOpened
    | FlowEstablished
    | DataReceived
    | RoomOpened
    | FlowFinished
    | FlowClosed
    | FlowReset
    | DatagramsReceived
    | UdpFlowClosed
    | ServiceDatagram
    | EchoRequested
    | NeighbourLearned
)
