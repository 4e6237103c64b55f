"""Files written whole or not at all, locks between processes, fast copies.

Nothing here knows what the files mean. The rule of the house for state on disk: write to a
temporary name beside the target, make it durable, rename. A killed process leaves the old
file and at most a `.tmp-…` that `remove_stale` knows by its name and by its lock, which the
kernel dropped.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

TEMPORARY_PREFIX = ".tmp-sampan-"
_TEMPORARY = re.compile(re.escape(TEMPORARY_PREFIX) + "[0-9a-f]{12}")
_COPY_CHUNK = 1 << 20
_LOCK_POLL_S = 0.1


@contextmanager
def atomic_file(path: Path, *, mode: int = 0o644, durable: bool = True) -> Iterator[IO[bytes]]:
    """A binary file that appears at `path` only if the block ends well.

    The target is replaced whole; when the block raises, nothing is left behind. `durable`
    asks the disk to have the bytes before the name changes: leave it on for state, turn it
    off for large outputs that can be made again. A link stays, and what it leads to is
    replaced. A device, pipe or socket is never replaced: the bytes go into it as they come.

    Raises:
        OSError: the folder is not writable, the disk is full, …
    """
    if _takes_bytes(path):
        with path.open("wb") as stream:
            yield stream
        return
    path = Path(os.path.realpath(path))  # unlike resolve, it takes a loop as it stands
    temporary, descriptor = _open_temporary(path.parent, mode)
    try:
        with os.fdopen(descriptor, "w+b") as stream:
            yield stream
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise
    if durable:
        sync_folder(path.parent)


def remove_stale(folder: Path) -> int:
    """Remove what killed processes left in `folder` of their `atomic_file`; returns the bytes.

    Files that are being written are locked, and stay; so does all that has not our name.

    Raises:
        OSError: the folder is not there or cannot be read.
    """
    freed = 0
    for path in folder.iterdir():
        if _TEMPORARY.fullmatch(path.name):
            with suppress(OSError):  # somebody else's, or gone meanwhile
                freed += _remove_unlocked(path)
    return freed


def _remove_unlocked(path: Path) -> int:
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return 0
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
        return status.st_size
    finally:
        os.close(descriptor)


def _open_temporary(folder: Path, mode: int) -> tuple[Path, int]:
    """A new file in `folder`, open and locked for as long as it is open."""
    while True:
        path = folder / f"{TEMPORARY_PREFIX}{secrets.token_hex(6)}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with suppress(OSError):  # a filesystem without locks: there nothing is taken for stale
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return path, descriptor
        os.close(descriptor)  # `remove_stale` was faster than the lock


def _takes_bytes(path: Path) -> bool:
    """Whether `path` is there and neither a regular file nor a folder."""
    try:
        mode = path.stat().st_mode
    except OSError:  # it is not there yet, or what is wrong with it shows when it is written
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def write_atomically(path: Path, data: bytes, *, mode: int = 0o644, durable: bool = True) -> None:
    """Write `data` to `path` so that a reader sees the old file or the new one, whole.

    Raises:
        OSError: it cannot be written; unlike a stream's own, the error names the file.
    """
    try:
        with atomic_file(path, mode=mode, durable=durable) as stream:
            stream.write(data)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable (fsync of the directory)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(
    path: Path, *, shared: bool = False, wait: Callable[[], object] | None = None
) -> Iterator[None]:
    """Hold an advisory lock (flock) on `path`, waiting for whoever has it.

    `wait` is called several times a second while it waits, and may raise to give up. The lock
    file is created if missing and stays; the kernel drops the lock when the process ends,
    however it ends.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _lock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, wait)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, kind: int, wait: Callable[[], object] | None) -> None:
    if wait is None:
        fcntl.flock(descriptor, kind)
        return
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            wait()
            time.sleep(_LOCK_POLL_S)
        else:
            return


def copy_range(source: int, target: int, length: int, *, offset: int = 0) -> None:
    """Copy `length` bytes at `offset` of descriptor `source` to the position of `target`.

    Uses the kernel's copy (which shares blocks where the filesystem can), else plain reads.

    Raises:
        EOFError: `source` ends before `length` bytes.
    """
    remaining = length
    while remaining:
        try:
            copied = os.copy_file_range(source, target, remaining, offset)
        except OSError:
            copied = _copy_plainly(source, target, min(remaining, _COPY_CHUNK), offset)
        if copied == 0:
            raise EOFError(f"{remaining} bytes short")
        remaining -= copied
        offset += copied


def _copy_plainly(source: int, target: int, length: int, offset: int) -> int:
    data = os.pread(source, length, offset)
    view = memoryview(data)
    while view:
        view = view[os.write(target, view) :]
    return len(data)
