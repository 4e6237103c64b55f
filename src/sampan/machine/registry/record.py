"""What is written down of a machine that has a name, and what state it is in because of that.

`machine.json` says what the machine is; `run.json` who runs it, or how its last run ended. Nothing
that can be told from the processes themselves is believed: a run that was not said to have ended
goes on only if the very process that wrote it is still there.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import msgspec

from sampan.machine.model import End, MachineSpec
from sampan.machine.state import Identity, boot_id

VERSION = 1


class Status(StrEnum):
    """What a machine with a name may be doing."""

    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    ENDING = "ending"  # its hypervisor has ended, and is being cleaned up after
    STOPPED = "stopped"
    SUSPENDED = "suspended"  # to a file; it goes on from there
    CRASHED = "crashed"  # its last run did not end in order
    DAMAGED = "damaged"  # what is written down of it cannot be read

    @property
    def live(self) -> bool:
        """Whether somebody runs it."""
        return self in (Status.STARTING, Status.RUNNING, Status.PAUSED, Status.ENDING)


class Port(msgspec.Struct, frozen=True, kw_only=True):
    """A published port, or a Unix socket at `path`, that leads to a port of the machine."""

    host_port: int
    guest_port: int
    bind: str
    protocol: str
    path: str = ""

    def __str__(self) -> str:
        bind = f"[{self.bind}]" if ":" in self.bind else self.bind
        return f"{self.path or f'{bind}:{self.host_port}'}->{self.guest_port}/{self.protocol}"


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """`machine.json`: what a machine is.

    Attributes:
        version: of this form.
        by: the version of Sampan that wrote it.
        made_s: when, in seconds since 1970.
        spec: the machine; its name is the one in the store.
        words, cwd: the command line that runs it again, and where that was typed.
        kept: files, links and folders in its folder that are its own, besides those of the store.
        disks: files of disks in its folder that were made for it and named by nobody; they may be
            in `kept`, too.
        owns_folder: whether its folder was made for it.
    """

    version: int = VERSION
    by: str
    made_s: float
    spec: MachineSpec
    words: tuple[str, ...] = ()
    cwd: Path | None = None
    kept: tuple[str, ...] = ()
    disks: tuple[str, ...] = ()
    owns_folder: bool = True


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """`run.json`: the run that goes on, or the last one.

    Attributes:
        version: of this form.
        supervisor: the process of Sampan that runs it.
        started_s, ended_s: when it began and ended, in seconds since 1970.
        runtime_root: where runtime folders are; what a crash leaves is found there.
        phase: `starting`, `running` or `paused`.
        hypervisor: its process, once there is one.
        folder: its runtime folder.
        control: the control socket of its supervisor, a short path.
        accel: who executes the guest's instructions.
        argv: the hypervisor's command line.
        ports: those that are published.
        network: what its network is called for `sampan net`.
        ended: how it ended; None while it goes on.
    """

    version: int = VERSION
    supervisor: Identity
    started_s: float
    runtime_root: Path
    phase: Status = Status.STARTING
    hypervisor: Identity | None = None
    folder: Path | None = None
    control: Path | None = None
    accel: str = ""
    argv: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()
    network: str = ""
    ended: End | None = None
    ended_s: float = 0.0


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one machine: `detail` explains its status, if that needs it."""

    name: str
    folder: Path
    status: Status
    detail: str = ""
    made: Made | None = None
    run: Run | None = None


def status(run: Run | None, *, suspended: bool) -> tuple[Status, str]:
    """The state of a machine with that last run, and an explanation; asks for its processes."""
    if run is not None and run.ended is None:
        return _of_open(run)
    if suspended:
        return Status.SUSPENDED, ""
    if run is not None and run.ended is not None and run.ended.crashed:
        return Status.CRASHED, run.ended.detail
    return Status.STOPPED, ""


def explain_crash(run: Run) -> str:
    """Why a run that nobody ended does not go on."""
    if run.supervisor.boot_id != boot_id():
        return "this computer was restarted, or switched off, while it ran"
    return f"sampan (process {run.supervisor.pid}) was killed while it ran"


def _of_open(run: Run) -> tuple[Status, str]:
    if not run.supervisor.alive():
        return Status.CRASHED, explain_crash(run) + _left(run.hypervisor)
    if run.hypervisor is not None and not run.hypervisor.alive():
        return Status.ENDING, ""
    return run.phase, ""


def _left(hypervisor: Identity | None) -> str:
    if hypervisor is None or not hypervisor.alive():
        return ""
    return (
        f"; its hypervisor (process {hypervisor.pid}) is still there, "
        "until the next command about it ends it"
    )
