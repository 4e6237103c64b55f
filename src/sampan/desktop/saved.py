"""What a machine with a name keeps of its states: the one it was suspended in, and snapshots.

In its folder, each in the form of `machine.saving.suspension`, with how it was connected beside it:

    saved/           where it was suspended; `suspended.json` above it says that it is
    snapshots/TAG/   a snapshot

The methods `suspend`, `snapshot` and `restore` of its control socket are here too.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
from msgspec.structs import replace

from sampan.base import fs, log
from sampan.desktop import network
from sampan.desktop.opened import Ports
from sampan.errors import SampanError, UsageError
from sampan.machine import document
from sampan.machine.error import MachineError
from sampan.machine.lifecycle import VM
from sampan.machine.registry import place
from sampan.machine.registry.store import Claim
from sampan.machine.saving import suspension
from sampan.machine.saving.suspension import Suspension
from sampan.machine.state import Identity
from sampan.machine.supervise.model import Nothing
from sampan.machine.supervise.server import Call, Server

_log = log.get(__name__)
SAVED = "saved"
SNAPSHOTS = "snapshots"
_NETWORK = "network.json"


class TagAsked(msgspec.Struct, frozen=True, kw_only=True):
    """`snapshot`, `restore`: which one."""

    tag: str


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot: its tag, when it was made (seconds since 1970), and the bytes it takes."""

    tag: str
    saved_s: float
    size_bytes: int


def folder_of(machine: Path, tag: str) -> Path:
    """Where the snapshot `tag` of the machine with that folder is, or would be.

    Raises:
        UsageError: that cannot be a tag.
    """
    if not place.is_name(tag):
        raise UsageError(
            f"{tag!r} is no name for a snapshot",
            hint="up to 63 letters, digits, '.', '-' and '_', beginning with a letter or digit",
        )
    return machine / SNAPSHOTS / tag


def found(machine: Path, tag: str) -> Path:
    """Where the snapshot `tag` is.

    Raises:
        MachineError: there is none.
    """
    folder = folder_of(machine, tag)
    if not suspension.is_saved(folder):
        tags = ", ".join(each.tag for each in snapshots(machine))
        raise MachineError(
            f"there is no snapshot {tag!r}",
            hint=f"there is {tags}" if tags else "make one: sampan snapshot create NAME TAG",
        )
    return folder


def snapshots(machine: Path) -> tuple[Snapshot, ...]:
    """The snapshots of a machine, the oldest first; of what cannot be read the log tells."""
    known = []
    for folder in filter(suspension.is_saved, (machine / SNAPSHOTS).glob("*")):
        try:
            saved = suspension.read(folder)
        except SampanError as error:
            _log.warning("the snapshot %s cannot be used: %s", folder.name, error)
            continue
        size = sum(each.stat().st_blocks * 512 for each in folder.iterdir())
        known.append(Snapshot(tag=folder.name, saved_s=saved.saved_s, size_bytes=size))
    return tuple(sorted(known, key=lambda each: each.saved_s))


def remove_snapshot(machine: Path, tag: str) -> None:
    """Forget the snapshot `tag`.

    Raises:
        MachineError: there is none.
    """
    folder = found(machine, tag)
    (folder / suspension.DOCUMENT).unlink()  # first: what is half removed is not there
    shutil.rmtree(folder)


def connected(folder: Path) -> network.Options:
    """How the machine that is saved in `folder` was connected.

    Raises:
        SampanError: it cannot be read.
    """
    path = folder / _NETWORK
    try:
        return document.decode(path.read_bytes(), network.Options, name=str(path))
    except OSError as error:
        raise MachineError(f"{path}: cannot be read: {error.strerror}") from error


def tidy(machine: Path) -> None:
    """Remove what was not saved to its end, because whoever did that was killed."""
    if not (machine / place.SUSPENDED).exists():
        shutil.rmtree(machine / SAVED, ignore_errors=True)
    for folder in (machine / SNAPSHOTS).glob("*"):
        if not suspension.is_saved(folder):
            shutil.rmtree(folder, ignore_errors=True)


def forget(machine: Path) -> None:
    """The machine goes on: it is no longer suspended."""
    (machine / place.SUSPENDED).unlink(missing_ok=True)
    shutil.rmtree(machine / SAVED, ignore_errors=True)


class Keeping:
    """The methods, bound to a machine that runs.

    How it is connected is written before what it is, which makes a saved machine count.
    """

    def __init__(self, server: Server, vm: VM, claim: Claim, ports: Ports) -> None:
        self._vm = vm
        self._claim = claim
        self._ports = ports
        tidy(claim.folder)
        server.add("suspend", self._suspend, Nothing)
        server.add("snapshot", self._snapshot, TagAsked)
        server.add("restore", self._restore, TagAsked)

    async def _suspend(self, _: Call[Nothing]) -> None:
        folder, mark = self._claim.folder / SAVED, self._claim.folder / place.SUSPENDED
        self._claim.keep(SAVED)

        def saved(state: Suspension) -> None:
            fs.write_atomically(mark, msgspec.json.encode({"saved_s": state.saved_s}), mode=0o600)

        self._write_network(folder)
        try:
            await self._vm.suspend(folder, on_saved=saved)
        finally:
            if not mark.exists():
                shutil.rmtree(folder)

    async def _snapshot(self, call: Call[TagAsked]) -> None:
        folder = folder_of(self._claim.folder, call.params.tag)
        if suspension.is_saved(folder):
            raise UsageError(
                f"there is a snapshot {call.params.tag!r} already",
                hint=f"sampan snapshot rm {self._claim.name} {call.params.tag}",
            )
        self._claim.keep(SNAPSHOTS)
        self._write_network(folder)
        try:
            await self._vm.snapshot(folder)
        finally:
            if not suspension.is_saved(folder):
                shutil.rmtree(folder)

    async def _restore(self, call: Call[TagAsked]) -> None:
        folder = found(self._claim.folder, call.params.tag)
        wired = connected(folder)
        await self._vm.restore(folder)
        self._ports.reopen(wired)
        process = Identity.of(self._vm.pid)
        self._claim.update(replace(self._claim.run, hypervisor=process, argv=self._vm.argv))

    def _write_network(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        data = document.encode(self._ports.now(), name=_NETWORK)
        fs.write_atomically(folder / _NETWORK, data, mode=0o600)
