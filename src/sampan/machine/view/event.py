"""What happens to a machine, as typed values; and what QEMU's notices mean in those terms.

Pure: no clock, no I/O. An event that has just been made has no number yet; the machine's
journal (`machine.view.journal`) stamps it with `seq`, the wall time and the machine's name.
As JSON the kind of an event is its key `event`: `{"event": "panicked", "seq": 7, …}`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import msgspec

from sampan.machine.forward import Forward
from sampan.machine.model import End
from sampan.machine.qmp import Notice


class State(StrEnum):
    """Where in its life a machine is."""

    STARTING = "starting"  # the hypervisor is up, the guest has not run yet
    RUNNING = "running"
    PAUSED = "paused"
    ENDED = "ended"


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """What all events have.

    Attributes:
        seq: its number in the machine's journal, from 1 on without gaps; 0: not recorded yet.
        time_s: when, in seconds since 1970.
        machine: the name of the machine.
    """

    seq: int = 0
    time_s: float = 0.0
    machine: str = ""


class StateChanged(_Event, frozen=True, kw_only=True, tag="state-changed"):
    """The machine went from one state to another."""

    old: State
    new: State


class PowerButtonPressed(_Event, frozen=True, kw_only=True, tag="power-button-pressed"):
    """The guest was told that its power button was pressed; what it does is up to it."""


class Rebooted(_Event, frozen=True, kw_only=True, tag="rebooted"):
    """The machine was reset and boots again; `by_guest` unless somebody outside did it."""

    by_guest: bool


class Panicked(_Event, frozen=True, kw_only=True, tag="panicked"):
    """The guest's kernel gave up."""

    reason: str


class DiskError(_Event, frozen=True, kw_only=True, tag="disk-error"):
    """The host could not read or write what the guest asked of a disk.

    `action` is what the guest got for it: `report` (an error), `ignore`, or `stop` (it is
    paused until there is room again); `full` tells whether the host had no space left.
    """

    disk: str
    operation: str
    action: str
    reason: str
    full: bool = False


class AgentUp(_Event, frozen=True, kw_only=True, tag="agent-up"):
    """Somebody in the guest opened the channel of the agent."""


class AgentDown(_Event, frozen=True, kw_only=True, tag="agent-down"):
    """The agent's channel was closed in the guest."""


class Saved(_Event, frozen=True, kw_only=True, tag="saved"):
    """The machine was saved to `folder`; as a snapshot, if `with_disks`, else to be suspended."""

    folder: str
    with_disks: bool


class Restored(_Event, frozen=True, kw_only=True, tag="restored"):
    """The machine, with its disks, was put back to the snapshot in `folder`."""

    folder: str


class Moved(_Event, frozen=True, kw_only=True, tag="moved"):
    """The machine goes on in process `pid`, after it stood still for `downtime_s`."""

    pid: int
    downtime_s: float


class ClockStepped(_Event, frozen=True, kw_only=True, tag="clock-stepped"):
    """The clock of the guest, which had stood still or went wrong, was set, by `seconds`."""

    seconds: float


class PortExposed(_Event, frozen=True, kw_only=True, tag="port-exposed"):
    """A port was published while the machine ran; `forward` has its real host port."""

    forward: Forward


class PortUnexposed(_Event, frozen=True, kw_only=True, tag="port-unexposed"):
    """A port is published no more: as somebody asked, or because it was taken in a move."""

    forward: Forward


class Ended(_Event, frozen=True, kw_only=True, tag="ended"):
    """The machine has ended; the last event there is of it."""

    end: End


class Missed(_Event, frozen=True, kw_only=True, tag="missed"):
    """`count` events were forgotten before whoever follows has read them.

    It is in no journal; its `seq` is that of the last one forgotten.
    """

    count: int


Event: TypeAlias = (
    StateChanged
    | PowerButtonPressed
    | Rebooted
    | Panicked
    | DiskError
    | AgentUp
    | AgentDown
    | Saved
    | Restored
    | Moved
    | ClockStepped
    | PortExposed
    | PortUnexposed
    | Ended
    | Missed
)


def translate(notice: Notice, state: State) -> Event | None:
    """The event that a notice of QEMU (QMP reference, "events") is for a machine in `state`.

    None: it is of no interest to a user. The end of a machine is not told by notices, which a
    hypervisor that is killed does not send.
    """
    match notice.name:
        case "STOP" if state is not State.PAUSED:
            return StateChanged(time_s=notice.time_s, old=state, new=State.PAUSED)
        case "RESUME" if state is not State.RUNNING:
            return StateChanged(time_s=notice.time_s, old=state, new=State.RUNNING)
        case "POWERDOWN":
            return PowerButtonPressed(time_s=notice.time_s)
        case "RESET":
            return Rebooted(time_s=notice.time_s, by_guest=notice.data.get("guest") is True)
        case "BLOCK_IO_ERROR":
            return _disk_error(notice)
        case "VSERPORT_CHANGE":
            kind = AgentUp if notice.data.get("open") is True else AgentDown
            return kind(time_s=notice.time_s)
        case _:
            return None


def _disk_error(notice: Notice) -> DiskError:
    def text(key: str) -> str:
        return str(notice.data.get(key, ""))

    return DiskError(
        time_s=notice.time_s,
        disk=text("device") or text("node-name") or text("qom-path"),
        operation=text("operation"),
        action=text("action"),
        reason=text("reason"),
        full=notice.data.get("nospace") is True,
    )
