"""The folder of one machine that has a name: which files are in it, its lock, its healing.

    machine.json    what it is (`record.Made`); a folder without it is no machine
    run.json        who runs it, or how its last run ended (`record.Run`)
    lock            held by whoever runs it, for as long as it lives, however it ends
    transcript.log  what its console said; further ones of `FILES`

Documents are replaced whole. `mend` and `clear` are for who holds the lock.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from sampan.base import fs, log
from sampan.errors import SampanError, UsageError
from sampan.machine import document, state
from sampan.machine.error import MachineError
from sampan.machine.model import End, Ending
from sampan.machine.registry import record
from sampan.machine.registry.record import VERSION, Made, Run

_log = log.get(__name__)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_FOREIGN = re.compile(r"[^A-Za-z0-9_.-]+")
_MAX_BASE = 56  # room for a number

MADE, RUN, LOCK = "machine.json", "run.json", "lock"
CONSOLE_LOG, SUPERVISOR_LOG, TTY = "transcript.log", "sampan.log", "tty"
SUSPENDED = "suspended.json"
"""The file whose presence says that a machine is suspended; whoever resumes it removes it."""
SETUP = "setup.json"
"""How it is run, as opposed to what it is; written and read by whoever runs machines."""
FILES = (CONSOLE_LOG, f"{CONSOLE_LOG}.1", SUPERVISOR_LOG, TTY, SUSPENDED, SETUP, RUN, MADE, LOCK)
"""All that is in a machine's folder by itself, in the order of removal."""


class Versioned(Protocol):
    """A document that says of which version of its form it is."""

    @property
    def version(self) -> int:
        """Counts from 1; who knows a version can read those before it."""


_Document = TypeVar("_Document", bound=Versioned)


def is_name(text: str) -> bool:
    """Whether a machine can be called so."""
    return _NAME.fullmatch(text) is not None


def check_name(name: str) -> None:
    """Refuse what cannot be the name of a machine.

    Raises:
        UsageError: it cannot.
    """
    if not is_name(name):
        raise UsageError(
            f"{name!r} is no name for a machine",
            hint="up to 63 letters, digits, '.', '-' and '_', beginning with a letter or digit",
        )


def base_name(text: str) -> str:
    """The name for a machine that is most like `text`, short enough for a number behind it."""
    return _FOREIGN.sub("-", text).lstrip("-._")[:_MAX_BASE] or "machine"


def is_entry(text: str) -> bool:
    """Whether `text` can name something in a folder, and leads nowhere else."""
    return text not in ("", ".", "..") and "/" not in text and "\0" not in text


def read(path: Path, kind: type[_Document], latest: int = VERSION) -> _Document | None:
    """The document at `path`, of a version up to `latest`; None if there is none.

    Raises:
        SampanError: it cannot be read, or is of a later version.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise MachineError(f"{path}: cannot be read: {error.strerror}") from error
    found = document.decode(data, kind, name=str(path))
    if found.version > latest:
        raise MachineError(f"{path}: written by a later Sampan", hint="use that, or a later one")
    return found


def write(path: Path, value: msgspec.Struct) -> None:
    """Replace the document at `path`.

    Raises:
        UsageError: a path in it is not UTF-8.
        OSError: the disk is full, …
    """
    data = document.encode(value, name=path.name)
    fs.write_atomically(path, data, mode=0o600)


def lock_now(folder: Path) -> int | None:
    """A descriptor that holds the lock of a machine; None if somebody else does."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


@contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Hold the lock of a machine for the block, unless somebody else does; whether it is held."""
    descriptor = lock_now(folder)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def mend(folder: Path, now_s: float) -> None:
    """Clean up after the run of a machine that nobody ended; nothing if there was none."""
    try:
        run = read(folder / RUN, Run)
    except SampanError:  # nothing can be known of it; `clear` removes it
        return
    if run is None or run.ended is not None:
        return
    why = record.explain_crash(run)
    _log.warning("%s: %s", folder.name, why)
    state.heal(run.runtime_root)
    if run.hypervisor is not None:
        run.hypervisor.kill()
    (folder / TTY).unlink(missing_ok=True)
    end = End(ending=Ending.DIED, detail=why)
    write(folder / RUN, msgspec.structs.replace(run, ended=end, ended_s=now_s))


def clear(path: Path, made: Made | None, names: Iterable[str]) -> None:
    """Forget a machine: remove what the store has of it, and `names`, which are its own.

    Its folder goes too if that was made for it, or for its disks, and nothing else is in. `path` may
    be a link to it, which goes in any case. `made` is what it was, None if that cannot be known.
    """
    folder = path.resolve()
    names = tuple(names)
    for each in names:
        if is_entry(each):
            _remove(folder / each)
    fs.remove_stale(folder)
    for each in FILES:
        (folder / each).unlink(missing_ok=True)
    # one that was forgotten without its disks has left a folder to the one that follows it
    if made is None or made.owns_folder or not set(made.disks).isdisjoint(names):
        with suppress(OSError):  # there is something else in it
            folder.rmdir()
    if path.is_symlink():
        path.unlink()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
