"""What happened, for the runtime to act on. Each event says what is expected in answer."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

import msgspec

# ruff: noqa: TC004  events are never decoded, and what they name imports this module
if TYPE_CHECKING:
    from sampan.net.core.endpoint import Endpoint
    from sampan.net.core.flow import Flow
    from sampan.net.core.port import Port
    from sampan.net.core.udp import UdpFlow


class Reason(Enum):
    """Why a flow ended badly."""

    RESET = "reset by the machine"
    REFUSED = "refused by the machine"
    UNREACHABLE = "the machine says that it cannot be reached there"
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


class FlowOpened(msgspec.Struct, frozen=True):
    """A machine wants a connection to `flow.remote`. Connect, then `accept` or `refuse` it."""

    flow: Flow


class FlowEstablished(msgspec.Struct, frozen=True):
    """The handshake is over; from now on there may be `room()`."""

    flow: Flow


class DataReceived(msgspec.Struct, frozen=True):
    """There is `data()`. Hand it to the host and say how much was `consumed`."""

    flow: Flow


class RoomOpened(msgspec.Struct, frozen=True):
    """`room()` was 0 and no longer is. Read from the host again."""

    flow: Flow


class FlowFinished(msgspec.Struct, frozen=True):
    """The machine will send no more. Shut the host's side down once all data is consumed."""

    flow: Flow


class FlowClosed(msgspec.Struct, frozen=True):
    """Both sides have finished, and the flow is forgotten."""

    flow: Flow


class FlowReset(msgspec.Struct, frozen=True):
    """The flow is gone. Close the host's side, with a reset where there is such a thing."""

    flow: Flow
    reason: Reason


class DatagramsReceived(msgspec.Struct, frozen=True):
    """A UDP flow has `datagrams()`; the first of these events is its beginning."""

    flow: UdpFlow


class UdpFlowClosed(msgspec.Struct, frozen=True):
    """A UDP flow was idle for too long, or its port is gone. Close its socket."""

    flow: UdpFlow


class DatagramRefused(msgspec.Struct, frozen=True):
    """A machine says that a datagram from `remote` did not arrive at `guest`.

    Mostly, nobody listens there any more. `flow` is theirs, if there is one; it lives on.
    """

    guest: Endpoint
    remote: Endpoint
    refusal: Refusal
    flow: UdpFlow | None


class ServiceDatagram(msgspec.Struct, frozen=True):
    """A datagram for one of the network's services; answer with `Stack.send_datagram`."""

    port: Port
    mac: bytes
    source: Endpoint
    destination: Endpoint
    payload: bytes


class EchoRequested(msgspec.Struct, frozen=True):
    """A machine pings somebody else; answer with `Stack.send_echo_reply` or `Stack.send_error`."""

    port: Port
    source: bytes
    destination: bytes
    identifier: int
    sequence: int
    payload: bytes
    hop_limit: int
    quote: bytes


class NeighbourLearned(msgspec.Struct, frozen=True):
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
    | DatagramRefused
    | ServiceDatagram
    | EchoRequested
    | NeighbourLearned
)
