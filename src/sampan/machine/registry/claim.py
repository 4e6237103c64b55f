"""Taking a name for a machine, and holding it while the machine runs.

A name that is in use is refused, or gets a number: `web-2`. One that is not in use is taken over
with its files, by the same system (told by its kernel's path), or by anybody who insists on it.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from sampan.base import fs
from sampan.errors import SampanError, UsageError
from sampan.machine import document, state
from sampan.machine.error import MachineError
from sampan.machine.model import End, MachineSpec
from sampan.machine.registry import place
from sampan.machine.registry.record import Made, Run


class NameTakenError(MachineError):
    """A machine of that name is there, and in use."""


class RunsAlreadyError(NameTakenError):
    """A machine of that name runs."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody who starts a machine asks of the store.

    Attributes:
        name: what it is to be called.
        exact: no other name will do; otherwise a number is added to one that is in use.
        folder: where its files are to be; None: below the root of the store.
        words, cwd: see `record.Made`.
        keep: whether it stays known when it has ended in order and has nothing to keep.
        resumes: it goes on from where it was suspended.
        runtime_root: see `record.Run`.
    """

    name: str
    exact: bool = False
    folder: Path | None = None
    words: tuple[str, ...] = ()
    cwd: Path | None = None
    keep: bool = True
    resumes: bool = False
    runtime_root: Path


class Claim:
    """A machine whose lock we hold: it is ours to run. Made by `Store.claim`."""

    def __init__(self, folder: Path, made: Made, run: Run, now_s: Callable[[], float]) -> None:
        self.name = made.spec.name
        self.folder = folder
        self.made = made
        self.run = run
        self._now_s = now_s
        self._links: list[Path] = []

    @property
    def spec(self) -> MachineSpec:
        """The machine, with the name it got, and its files where they are whatever the folder."""
        return self.made.spec

    def update(self, run: Run) -> None:
        """Write down what is known of the run now."""
        self.run = run
        place.write(self.folder / place.RUN, run)

    def describe(self, spec: MachineSpec) -> None:
        """Write down more of what the machine is; its name stays."""
        self.made = msgspec.structs.replace(self.made, spec=_lasting(spec, self.name))
        place.write(self.folder / place.MADE, self.made)

    def keep(self, *names: str) -> None:
        """Files or folders of these names in its folder are the machine's own: `remove` takes them.

        To be called before they are made.
        """
        self._own(kept=names)

    def keep_disks(self, *names: str) -> None:
        """Disks of these names in its folder are the machine's own: `remove` takes them if told to."""
        self._own(disks=names)

    def _own(self, *, kept: Sequence[str] = (), disks: Sequence[str] = ()) -> None:
        if any(not place.is_entry(name) or name in place.FILES for name in (*kept, *disks)):
            raise ValueError(f"not names for files of a machine: {kept or disks}")
        made = msgspec.structs.replace(
            self.made,
            kept=tuple(dict.fromkeys((*self.made.kept, *kept))),
            disks=tuple(dict.fromkeys((*self.made.disks, *disks))),
        )
        if made != self.made:
            self.made = made
            place.write(self.folder / place.MADE, made)

    def link(self, name: str, target: Path) -> Path:
        """A symbolic link in its folder, to a socket for instance; gone when the run has ended.

        Raises:
            MachineError: something else is there.
        """
        path = self.folder / name
        if path.exists() and not path.is_symlink():
            raise MachineError(f"{path} is in the way", hint="move it elsewhere")
        if name not in place.FILES:
            self.keep(name)
        path.unlink(missing_ok=True)
        path.symlink_to(target)
        self._links.append(path)
        return path

    def ended(self, end: End) -> None:
        """Say how the run ended."""
        for path in self._links:
            path.unlink(missing_ok=True)
        self.run = msgspec.structs.replace(self.run, ended=end, ended_s=self._now_s())
        place.write(self.folder / place.RUN, self.run)

    @property
    def crashed(self) -> bool:
        """Whether the run ended, and not in order."""
        return self.run.ended is not None and self.run.ended.crashed

    @property
    def keeps(self) -> bool:
        """Whether there are files of the machine that are to outlive its run."""
        names = (*self.made.kept, *self.made.disks)
        return any((self.folder / name).exists() for name in names)


class Taken(NamedTuple):
    """A name, the descriptor that holds its lock, and whether there was no such machine before."""

    path: Path
    lock: int
    is_new: bool
    owns_folder: bool


def take(root: Path, spec: MachineSpec, wish: Wish, now_s: float) -> Taken:
    """A name below `root` for `spec`; for who holds the lock of the root.

    Raises:
        UsageError: that is no name, or the folder belongs to another machine.
        NameTakenError: the name is in use, and no other will do.
    """
    known = None if wish.folder is None else _known(root, wish.folder)
    if known is not None:
        if wish.exact and wish.name != known.name:
            raise UsageError(
                f"{wish.folder} belongs to the machine {known.name}",
                hint="leave --name away, or keep the files of this one elsewhere: --state FOLDER",
            )
        try:
            return _take(known, spec, wish, now_s, exact=True)
        except RunsAlreadyError as error:  # whose name it is helps nobody: the folder is taken
            raise RunsAlreadyError(
                error.message,
                hint=f"stop it: sampan stop {known.name}; or keep the files of this one "
                f"elsewhere, not in {wish.folder}: --state FOLDER",
            ) from error
    if wish.exact:
        place.check_name(wish.name)
        return _take(root / wish.name, spec, wish, now_s, exact=True)
    base = place.base_name(wish.name)
    for number in itertools.count(1):
        with suppress(NameTakenError):
            name = base if number == 1 else f"{base}-{number}"
            return _take(root / name, spec, wish, now_s, exact=False)
    raise AssertionError  # numbers do not end


def begin(
    taken: Taken, spec: MachineSpec, wish: Wish, *, by: str, now_s: float
) -> tuple[Made, Run]:
    """Write down that a run of `spec` begins, by this process."""
    before = None
    with suppress(SampanError):
        before = place.read(taken.path / place.MADE, Made)
    made = Made(
        by=by,
        made_s=now_s,
        spec=_lasting(spec, taken.path.name),
        words=wish.words,
        cwd=wish.cwd,
        kept=() if before is None else before.kept,
        disks=() if before is None else before.disks,
        owns_folder=taken.owns_folder if before is None else before.owns_folder,
    )
    supervisor = state.Identity.of(os.getpid())
    assert supervisor is not None
    run = Run(supervisor=supervisor, started_s=now_s, runtime_root=wish.runtime_root)
    fs.remove_stale(taken.path.resolve())
    place.write(taken.path / place.RUN, run)  # first: a machine that is there can be judged by it
    place.write(taken.path / place.MADE, made)
    return made, run


def _take(path: Path, spec: MachineSpec, wish: Wish, now_s: float, *, exact: bool) -> Taken:
    is_new = not (path / place.MADE).exists()
    owns_folder = _make_folder(path, wish.folder) if is_new else False
    lock = place.lock_now(path)
    if lock is None:
        raise RunsAlreadyError(
            f"a machine called {path.name} runs already",
            hint=f"choose another --name, or stop it: sampan stop {path.name}",
        )
    try:
        if not is_new:
            place.mend(path.resolve(), now_s)
            _check_reuse(path, spec, wish, exact=exact)
    except BaseException:
        os.close(lock)
        raise
    return Taken(path, lock, is_new, owns_folder)


def _check_reuse(path: Path, spec: MachineSpec, wish: Wish, *, exact: bool) -> None:
    name = path.name
    try:
        made = place.read(path / place.MADE, Made)
    except SampanError as error:
        raise NameTakenError(error.message, hint=f"forget it: sampan rm {name}") from error
    if (path / place.SUSPENDED).exists() and not wish.resumes:
        raise NameTakenError(
            f"{name} is suspended",
            hint=f"go on with it: sampan resume {name}; or forget it: sampan rm {name}",
        )
    if wish.folder is not None and path.resolve() != wish.folder.resolve():
        raise NameTakenError(
            f"the files of {name} are in {path.resolve()}", hint="choose another --name"
        )
    elsewhere = wish.folder is None and path.is_symlink()
    if not exact and (made is None or made.spec.kernel != spec.kernel.absolute() or elsewhere):
        raise NameTakenError(f"{name} is another system")


def _make_folder(path: Path, folder: Path | None) -> bool:
    """Make the folder of a new machine, or use the one that is there; whether that is ours."""
    if path.is_symlink() and not path.exists():
        path.unlink()  # it leads nowhere any more
    if folder is None:
        path.mkdir(mode=0o700, exist_ok=True)
        return True  # also one that a start left that was killed before it wrote anything down
    if path.exists():
        if path.resolve() == folder.resolve():
            return False
        raise NameTakenError(f"{path} is in the way", hint="choose another --name")
    is_made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    path.symlink_to(folder.resolve())
    return is_made


def _lasting(spec: MachineSpec, name: str) -> MachineSpec:
    """The machine `name`, with paths that lead to the same files from anywhere."""
    return msgspec.structs.replace(document.rooted(spec), name=name)


def _known(root: Path, folder: Path) -> Path | None:
    """The machine whose files are in `folder`."""
    wanted = folder.resolve()
    return next(
        (
            each
            for each in root.iterdir()
            if place.is_name(each.name) and each.resolve() == wanted
        ),
        None,
    )  # fmt: skip
