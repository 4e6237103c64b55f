"""The machines that have names: a folder for each below one root, safe from crashes.

On disk::

    ROOT/.lock   held while machines come, go or are healed: for moments
    ROOT/NAME/   the folder of a machine (`place`), or a link to it

A machine that is being run belongs to the process that holds its lock; everybody else only reads,
or asks that process (`machine.supervise`). Whoever gets the lock of a machine that claims to run
has found a crash, and heals it: ends the hypervisor that was left, removes its sockets, says in
`run.json` what happened. Knows nothing of how machines are run. To run one::

    store = Store(root, version="1")
    with store.claim(spec, Wish(name="web", runtime_root=state.runtime_root())) as claim:
        …  # run claim.spec
        claim.ended(end)
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from sampan.base import fs
from sampan.base.clock import Clock, SystemClock
from sampan.errors import SampanError, UsageError
from sampan.machine import state
from sampan.machine.error import MachineError
from sampan.machine.model import End, Ending, MachineSpec
from sampan.machine.registry import place, record
from sampan.machine.registry.claim import Claim, NameTakenError, Wish, begin, take
from sampan.machine.registry.record import Made, Record, Run, Status

_POLL_S = 0.02

__all__ = ["Claim", "NameTakenError", "NoSuchMachineError", "Removed", "Store", "Wish"]


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """A machine that was forgotten, and what became of the disks that were made for it."""

    name: str
    removed: tuple[Path, ...] = ()
    kept: tuple[Path, ...] = ()


class NoSuchMachineError(MachineError):
    """There is no machine of that name."""


class Store:
    """The machines below `root`. `version` is written down as the one that made them."""

    def __init__(self, root: Path, *, version: str, clock: Clock | None = None) -> None:
        self.root = root
        self._version = version
        self._clock = clock or SystemClock()

    def names(self) -> tuple[str, ...]:
        """The names of all machines, sorted."""
        try:
            found = sorted(each.name for each in self.root.iterdir())
        except FileNotFoundError:
            return ()
        return tuple(
            name for name in found if place.is_name(name) and self._made(name).is_file()
        )  # fmt: skip

    def records(self) -> tuple[Record, ...]:
        """What is known of all machines; those that go meanwhile are left out."""
        found = []
        for name in self.names():
            with suppress(NoSuchMachineError):
                found.append(self.record(name))
        return tuple(found)

    def record(self, name: str) -> Record:
        """What is known of the machine `name`; changes nothing.

        Raises:
            UsageError: that is no name.
            NoSuchMachineError: there is none.
        """
        place.check_name(name)
        folder = (self.root / name).resolve()
        made, run, fault = None, None, ""
        try:
            made = place.read(folder / place.MADE, Made)
        except SampanError as error:
            fault = error.message
        try:
            run = place.read(folder / place.RUN, Run)
        except SampanError as error:
            fault = fault or error.message
        if fault:  # it may run nevertheless
            return Record(
                name=name, folder=folder, status=Status.DAMAGED, detail=fault, made=made, run=run
            )
        if made is None:
            raise self._unknown(name)
        is_suspended = (folder / place.SUSPENDED).exists()
        found, detail = record.status(run, suspended=is_suspended)
        return Record(name=name, folder=folder, status=found, detail=detail, made=made, run=run)

    def find(self, text: str) -> Record:
        """The machine that is called `text`, or the only one whose name begins so.

        Raises:
            UsageError: several begin so.
            NoSuchMachineError: none does; the hint says what there is.
        """
        names = self.names()
        matching = [text] if text in names else [each for each in names if each.startswith(text)]
        if not text or not matching:
            raise self._unknown(text)
        if len(matching) > 1:
            raise UsageError(
                f"{text!r} may be any of {', '.join(matching)}", hint="say more of its name"
            )
        return self.record(matching[0])

    def heal(self, name: str) -> Record:
        """Clean up after a crash, if that is what happened to the machine; what is known then."""
        found = self.record(name)
        if found.status is not Status.CRASHED or found.run is None or found.run.ended is not None:
            return found
        with self._locked():
            folder = self.record(name).folder  # it may have gone meanwhile
            with place.locked(folder) as is_ours:
                if is_ours:
                    place.mend(folder, self._clock.wall_s())
        return self.record(name)

    def end_by_force(self, name: str) -> Record:
        """End a machine whose supervisor does not answer; what is known then.

        Raises:
            MachineError: it runs, and where is not known, because its files are damaged.
        """
        found = self.record(name)
        is_damaged = found.status is Status.DAMAGED and not self.is_free(found)
        if is_damaged and (found.run is None or found.run.ended is not None):
            raise MachineError(
                f"{name} runs, but where is not known: {found.detail}",
                hint=f"end the process that fuser {found.folder / place.LOCK} names",
            )
        if found.run is not None and (found.status.live or is_damaged):
            if found.run.hypervisor is not None:
                found.run.hypervisor.kill()
            # it cleans up, if it still can
            if not found.run.supervisor.wait(state.KILL_S if found.run.hypervisor else 0):
                found.run.supervisor.kill()
        return self.heal(name)

    def wait_ended(self, found: Record, timeout_s: float) -> bool:
        """Wait until nobody runs a machine any more; whether that is so.

        Who runs it may have more to do when the machine itself has ended.
        """
        end_s = self._clock.monotonic_s() + timeout_s
        while not self.is_free(found):
            if self._clock.monotonic_s() > end_s:
                return False
            time.sleep(_POLL_S)
        return True

    def is_free(self, found: Record) -> bool:
        """Whether nobody runs a machine, whatever its files say."""
        with self._locked():  # whoever takes the machine's lock holds that of the root
            if not (found.folder / place.LOCK).exists():
                return True  # it was forgotten
            with place.locked(found.folder) as is_ours:
                return is_ours

    def remove(self, name: str, *, disks: bool = False) -> Removed:
        """Forget a machine that does not run, with its files; nothing else goes.

        Of its disks only those go that were made for it and named by nobody, and those only
        with `disks`.

        Raises:
            NoSuchMachineError: there is none.
            MachineError: it runs.
        """
        folder = self.record(name).folder
        with self._locked():
            made = self.record(name).made  # it may have gone meanwhile
            with place.locked(folder) as is_ours:
                if not is_ours:
                    raise MachineError(
                        f"{name} runs", hint=f"sampan stop {name} first; or sampan rm -f {name}"
                    )
                place.mend(folder, self._clock.wall_s())
                removed, names = _parted(name, folder, made, disks=disks)
                place.clear(self.root / name, made, names)
        return removed

    @contextmanager
    def claim(self, spec: MachineSpec, wish: Wish) -> Iterator[Claim]:
        """Take a name for `spec` and hold it for the length of the block; say `ended` in it.

        If the block raises before the run was said to have ended, a machine that was new is
        forgotten, as one that did not start.

        Raises:
            UsageError: that is no name.
            NameTakenError: the name is in use, and no other will do.
            OSError: the root cannot be written.
        """
        now_s = self._clock.wall_s()
        with self._locked():
            taken = take(self.root, spec, wish, now_s)
            try:
                made, run = begin(taken, spec, wish, by=self._version, now_s=now_s)
            except BaseException:
                os.close(taken.lock)
                raise
        claim = Claim(taken.path.resolve(), made, run, self._clock.wall_s)
        try:
            yield claim
        finally:
            try:
                self._finish(claim, wish, is_new=taken.is_new)
            finally:
                os.close(taken.lock)

    def _finish(self, claim: Claim, wish: Wish, *, is_new: bool) -> None:
        started = claim.run.ended is not None
        if not started:
            claim.ended(End(ending=Ending.FORCED, detail="it did not start"))
        forget = not (wish.keep or claim.keeps or claim.crashed) if started else is_new
        if forget:
            with self._locked():  # of one that did not start all goes that was made for it now
                place.clear(self.root / claim.name, claim.made, claim.made.kept)

    def _made(self, name: str) -> Path:
        return self.root / name / place.MADE

    def _unknown(self, name: str) -> NoSuchMachineError:
        names = self.names()
        there = f"there is {', '.join(names)}" if names else "start one: sampan run PATH"
        return NoSuchMachineError(f"there is no machine called {name!r}", hint=there)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with fs.locked(self.root / ".lock"):
            yield


def _parted(
    name: str, folder: Path, made: Made | None, *, disks: bool
) -> tuple[Removed, tuple[str, ...]]:
    """What becomes of its disks when a machine is forgotten, and the names of all that goes."""
    if made is None:
        return Removed(name=name), ()
    own = tuple(each for each in made.disks if (folder / each).exists())
    paths = tuple(folder / each for each in own)
    rest = tuple(each for each in made.kept if each not in made.disks)
    if disks:
        return Removed(name=name, removed=paths), (*rest, *own)
    return Removed(name=name, kept=paths), rest
