"""A machine on disk, in the middle of its life: the one form of suspended machines and snapshots.

A folder, which may hold other things besides:

    suspended.json   what machine it is, who saved it, and what the other files must be
    memory-XXXX      its memory and devices, as the hypervisor writes them
    disk-XXXX-N      in a snapshot: the content of disk N; a suspended machine keeps its own disks

`suspended.json` is written last and replaced whole: a folder without it holds nothing, whatever
a crash left there. What cannot be right (another version of the hypervisor, a damaged file, a
disk that was written since) is refused before anything is started.

The memory is not compressed: level 1 of zstd makes 55 MiB of the 129 of a small Linux, but takes
0.44 s for it and 0.32 s to undo it, which is longer than all the rest of a restore.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from sampan.base import fs
from sampan.errors import SampanError
from sampan.machine import document
from sampan.machine.driver import Build
from sampan.machine.error import MachineError
from sampan.machine.forward import Forward
from sampan.machine.model import Accelerator, MachineSpec

VERSION = 1
DOCUMENT = "suspended.json"
_PATTERNS = ("memory-[0-9a-f]*", "disk-[0-9a-f]*-[0-9]*")


class SuspensionError(MachineError):
    """A saved machine cannot be continued: it is damaged, or something it needs has changed."""


class File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file that belongs to a saved machine: its name in the folder, size, and SHA-256."""

    name: str
    size_bytes: int
    sha256: str


class DiskState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A disk when its machine was saved.

    `copy` is a file of the folder, if it was copied; `sha256` its digest (`content`), unless it
    shares the blocks of the disk.
    """

    size_bytes: int
    modified_ns: int
    copy: str = ""
    sha256: str = ""


class Suspension(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that is known of a saved machine.

    `forwards` have the host ports it really had. `has_agent` says that an agent answered in it.
    """

    version: int = VERSION
    spec: MachineSpec
    driver: str
    build: Build
    accel: Accelerator
    memory: File
    disks: tuple[DiskState, ...] = ()
    forwards: tuple[Forward, ...] = ()
    saved_s: float = 0.0
    has_agent: bool = False

    @property
    def files(self) -> tuple[str, ...]:
        """The names of its files besides the document."""
        return (self.memory.name, *(disk.copy for disk in self.disks if disk.copy))


class _Versioned(msgspec.Struct):
    version: int


class Memory:
    """The memory file while it is written; it knows its digest at the end."""

    def __init__(self, stream: io.FileIO, name: str) -> None:
        self._stream = stream
        self._name = name
        self._digest = hashlib.sha256()
        self._size = 0

    def write(self, data: memoryview) -> None:
        """Write all of `data`."""
        self._digest.update(data)
        self._size += len(data)
        while data:
            data = data[self._stream.write(data) :]

    def file(self) -> File:
        """What was written."""
        return File(name=self._name, size_bytes=self._size, sha256=self._digest.hexdigest())


class Writing:
    """A saved machine that is being written to a folder; nothing of it counts before `commit`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._token = secrets.token_hex(4)
        self.is_committed = False

    @contextmanager
    def memory(self) -> Iterator[Memory]:
        """The file for the memory, durable when the block ends."""
        name = f"memory-{self._token}"
        descriptor = os.open(
            self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600
        )
        with os.fdopen(descriptor, "wb", buffering=0) as stream:
            yield Memory(stream, name)
            os.fsync(stream.fileno())

    def disk_copy(self, index: int) -> Path:
        """Where the copy of disk `index` is to be made."""
        return self.folder / f"disk-{self._token}-{index}"

    def commit(self, suspension: Suspension) -> None:
        """From now on the folder holds this one."""
        data = document.encode(suspension, name=DOCUMENT)
        fs.write_atomically(self.folder / DOCUMENT, data, mode=0o600)
        self.is_committed = True


@contextmanager
def writing(folder: Path) -> Iterator[Writing]:
    """Write a saved machine into `folder`, which is made if missing.

    What was saved there before stays until `commit`. If the block raises, nothing new is left.

    Raises:
        SuspensionError: the folder cannot be made or written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = Writing(folder)
        try:
            yield made
        finally:
            _remove_others(folder)
    except OSError as error:
        what = error.filename or folder
        raise SuspensionError(f"cannot save the machine: {what}: {error.strerror}") from error


def read(folder: Path) -> Suspension:
    """The machine that is saved in `folder`.

    Raises:
        SuspensionError: there is none, or it cannot be read.
    """
    path = folder / DOCUMENT
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise SuspensionError(f"no machine is saved in {folder}") from None
    except OSError as error:
        raise SuspensionError(f"{path}: cannot be read: {error.strerror}") from error
    with suppress(msgspec.DecodeError):
        if (version := msgspec.json.decode(data, type=_Versioned).version) != VERSION:
            raise SuspensionError(
                f"{path} is of version {version}; this Sampan knows version {VERSION}",
                hint="use the Sampan that saved it, or boot the machine anew",
            )
    try:
        found = document.decode(data, Suspension, name=str(path))
    except SampanError as error:
        raise SuspensionError(f"the saved machine is damaged: {error.message}") from error
    for name in found.files:
        if "/" in name or name in ("", ".", ".."):
            raise SuspensionError(f"the saved machine is damaged: {path} names a file {name!r}")
    return found


def is_saved(folder: Path) -> bool:
    """Whether a machine is saved in `folder`."""
    return (folder / DOCUMENT).is_file()


def remove(folder: Path) -> None:
    """Forget the machine that is saved in `folder`, and the folder if nothing else is in it."""
    (folder / DOCUMENT).unlink(missing_ok=True)
    _remove_others(folder)
    try:
        folder.rmdir()
    except OSError:
        return  # it holds other things, too


@contextmanager
def memory(folder: Path, suspension: Suspension) -> Iterator[int]:
    """A descriptor of the memory file, checked but for its digest (`verify`).

    Raises:
        SuspensionError: it is missing, or not as long as it was.
    """
    path = folder / suspension.memory.name
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise SuspensionError(f"the saved machine is damaged: {path}: {error.strerror}") from error
    try:
        size = os.fstat(descriptor).st_size
        if size != suspension.memory.size_bytes:
            raise SuspensionError(
                f"the saved machine is damaged: {path} has {size} bytes, "
                f"not {suspension.memory.size_bytes}"
            )
        yield descriptor
    finally:
        os.close(descriptor)


async def verify(folder: Path, suspension: Suspension) -> None:
    """Read the memory file and compare its digest.

    Raises:
        SuspensionError: it is not what was written.
    """

    def digest() -> str:
        with (folder / suspension.memory.name).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    if await asyncio.to_thread(digest) != suspension.memory.sha256:
        raise SuspensionError(
            f"the saved machine is damaged: {folder / suspension.memory.name} is not what was "
            "written",
            hint="remove it, and boot the machine anew",
        )


def check_build(folder: Path, suspension: Suspension, build: Build) -> None:
    """Refuse a hypervisor that is not the one that saved the machine.

    Raises:
        SuspensionError: it is another version or kind.
    """
    before = suspension.build
    if build != before:
        raise SuspensionError(
            f"the machine in {folder} was saved by {suspension.driver} {before.version} "
            f"({before.machine}), and this is {build.version} ({build.machine})",
            hint="use that version once more, or boot the machine anew",
        )


def disk_state(path: Path, copy: str = "", sha256: str = "") -> DiskState:
    """What a disk is now.

    Raises:
        OSError: it is not there.
    """
    found = path.stat()
    return DiskState(
        size_bytes=found.st_size, modified_ns=found.st_mtime_ns, copy=copy, sha256=sha256
    )


def check_disks(suspension: Suspension) -> None:
    """Refuse disks that were written since the machine was suspended on them.

    Raises:
        SuspensionError: one was, or is gone.
    """
    for disk, before in zip(suspension.spec.disks, suspension.disks, strict=True):
        if before.copy or disk.read_only:
            continue
        try:
            now = disk_state(disk.path)
        except OSError as error:
            raise SuspensionError(
                f"the disk {disk.path} of the saved machine cannot be read: {error.strerror}"
            ) from error
        if now != before:
            raise SuspensionError(
                f"the disk {disk.path} was written since the machine was suspended",
                hint="what it has in memory no longer fits: boot it anew",
            )


def _remove_others(folder: Path) -> None:
    """Remove files of saved machines that the folder does not hold (any more)."""
    fs.remove_stale(folder)
    try:
        kept = set(read(folder).files) if is_saved(folder) else set()
    except SuspensionError:
        return  # of a later version, or damaged: not ours to clean
    for pattern in _PATTERNS:
        for path in folder.glob(pattern):
            if path.name not in kept:
                path.unlink(missing_ok=True)
