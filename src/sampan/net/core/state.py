"""The states of a TCP connection, and what leads from one to another (RFC 9293, 3.3.2).

The table is the whole of it: a flow changes its state through `step` and nowhere else. Two
things differ from the RFC's diagram. There is no LISTEN, for the whole world listens: a SYN
makes a flow that is OFFERED to the runtime, and the SYN-ACK waits until the host's connection
is there. And a flow that ends is CLOSED at once, whatever its state, by a reset or by giving up.

It may not know about segments, windows or time.
"""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Where a connection stands."""

    __hash__ = object.__hash__  # members are single; Enum would hash their names each time

    OFFERED = "offered"
    SYN_SENT = "syn-sent"
    SYN_RECEIVED = "syn-received"
    ESTABLISHED = "established"
    FIN_WAIT_1 = "fin-wait-1"
    FIN_WAIT_2 = "fin-wait-2"
    CLOSE_WAIT = "close-wait"
    CLOSING = "closing"
    LAST_ACK = "last-ack"
    TIME_WAIT = "time-wait"
    CLOSED = "closed"


class Input(Enum):
    """What happens to a connection. FINISH is ours: the host will send no more."""

    __hash__ = object.__hash__

    ACCEPT = "accept"
    SYN = "SYN"
    SYN_ACK = "SYN-ACK"
    ACKED = "ACK of all we sent"
    FIN = "FIN"
    FINISH = "finish"
    EXPIRE = "time is over"
    END = "reset, refused or given up"


TRANSITIONS: dict[tuple[State, Input], State] = {
    (State.OFFERED, Input.ACCEPT): State.SYN_RECEIVED,
    (State.SYN_SENT, Input.SYN_ACK): State.ESTABLISHED,
    (State.SYN_SENT, Input.SYN): State.SYN_RECEIVED,
    (State.SYN_RECEIVED, Input.ACKED): State.ESTABLISHED,
    (State.ESTABLISHED, Input.FIN): State.CLOSE_WAIT,
    (State.ESTABLISHED, Input.FINISH): State.FIN_WAIT_1,
    (State.FIN_WAIT_1, Input.ACKED): State.FIN_WAIT_2,
    (State.FIN_WAIT_1, Input.FIN): State.CLOSING,
    (State.FIN_WAIT_2, Input.FIN): State.TIME_WAIT,
    (State.CLOSE_WAIT, Input.FINISH): State.LAST_ACK,
    (State.CLOSING, Input.ACKED): State.TIME_WAIT,
    (State.LAST_ACK, Input.ACKED): State.CLOSED,
    (State.TIME_WAIT, Input.EXPIRE): State.CLOSED,
} | {(state, Input.END): State.CLOSED for state in State if state is not State.CLOSED}

HALF_OPEN = frozenset({State.OFFERED, State.SYN_SENT, State.SYN_RECEIVED})
RECEIVING = frozenset({State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2})
SENDING = frozenset({State.ESTABLISHED, State.CLOSE_WAIT})


def step(state: State, given: Input) -> State:
    """The state that follows; the same one where `given` means nothing there."""
    return TRANSITIONS.get((state, given), state)


def allows(state: State, given: Input) -> bool:
    """Whether `given` means something in `state`."""
    return (state, given) in TRANSITIONS


def diagram() -> str:
    """The table as a Mermaid state diagram, for the manual."""
    lines = ["stateDiagram-v2"]
    for (state, given), after in TRANSITIONS.items():
        if given is not Input.END:
            lines.append(f"    {state.name} --> {after.name}: {given.value}")
    return "\n".join(lines) + "\n"
