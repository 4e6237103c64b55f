"""The content of disks: copied for a snapshot, and put back from it.

A copy has holes where its disk has them, and shares its blocks where the filesystem can. One that
does not has a digest: SHA-256 over the size, and the position and bytes of each piece of 64 KiB
that is not all zeros, so that it does not matter how a filesystem keeps holes.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO

from sampan.base import fs, log
from sampan.machine.saving.suspension import Suspension, SuspensionError

_log = log.get(__name__)
_FICLONE = 0x40049409  # linux/fs.h: share the blocks of another file, where that is possible
_PIECE = 64 << 10
_ZEROS = bytes(_PIECE)
_NUMBER = 8  # bytes


class DigestError(Exception):
    """The content is not what it was."""


def copy(source: Path, target: Path, *, expected: str = "") -> str:
    """Copy a disk, replacing `target` whole.

    Returns:
        The digest of the content, or nothing if blocks are shared.

    Raises:
        OSError: it cannot be read or written.
        DigestError: the digest is not `expected`; `target` stays as it was.
    """
    with source.open("rb") as old, fs.atomic_file(target, mode=0o600) as new:
        if not expected and _share_blocks(old, new):
            return ""
        size = old.seek(0, os.SEEK_END)
        digest = hashlib.sha256(size.to_bytes(_NUMBER, "little"))
        for position, piece in _pieces(old.fileno(), size):
            digest.update(position.to_bytes(_NUMBER, "little"))
            digest.update(piece)
            new.seek(position)
            new.write(piece)
        new.truncate(size)
        if expected and digest.hexdigest() != expected:
            raise DigestError(source)
    return digest.hexdigest()


@asynccontextmanager
async def put_back(folder: Path, saved: Suspension) -> AsyncIterator[None]:
    """The disks are what they were in the snapshot `saved`; if the block raises, as they are now.

    Nobody may have them open before.

    Raises:
        SuspensionError: one cannot be written, or its copy is gone or damaged.
    """
    before: list[tuple[Path, Path]] = []
    copying = asyncio.get_running_loop().create_task(
        asyncio.to_thread(_put_back, folder, saved, before), name="put disks back"
    )
    try:
        try:
            await asyncio.shield(copying)
        finally:
            while not copying.done():  # who is cancelled, even twice, has to wait for the thread
                with suppress(asyncio.CancelledError):
                    await asyncio.wait((copying,))
        yield
    except BaseException:
        for path, kept in before:
            kept.replace(path)
            kept.unlink(missing_ok=True)  # if both were names of one file still
        raise
    for _, kept in before:
        kept.unlink(missing_ok=True)


def _put_back(folder: Path, saved: Suspension, before: list[tuple[Path, Path]]) -> None:
    for disk, state in zip(saved.spec.disks, saved.disks, strict=True):
        if not state.copy:
            continue
        path = Path(os.path.realpath(disk.path))
        try:
            if (kept := _kept(path)) is not None:
                before.append((path, kept))
            copy(folder / state.copy, path, expected=state.sha256)
        except DigestError:
            raise SuspensionError(
                f"the saved machine is damaged: {folder / state.copy} is not what was written",
                hint="the disk stays as it is: boot the machine anew",
            ) from None
        except OSError as error:
            raise SuspensionError(
                f"cannot restore the disk {disk.path}: {error.filename or folder}: {error.strerror}"
            ) from error


def _kept(path: Path) -> Path | None:
    """Another name for a file, which is about to be replaced; None if that cannot be undone."""
    kept = path.with_name(f"{fs.TEMPORARY_PREFIX}{secrets.token_hex(6)}")
    try:
        kept.hardlink_to(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        _log.warning("%s is replaced for good: it has no second name: %s", path, error.strerror)
        return None
    return kept


def _share_blocks(old: IO[bytes], new: IO[bytes]) -> bool:
    try:
        fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
    except OSError:  # another filesystem, or one that cannot
        return False
    return True


def _pieces(descriptor: int, size: int) -> Iterator[tuple[int, bytes]]:
    """What is not all zeros, with its position; both are multiples of `_PIECE`, but for the end."""
    position = 0
    while position < size:
        try:
            begin = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole is left
                return
            raise
        end = min(os.lseek(descriptor, begin, os.SEEK_HOLE), size)
        position = begin - begin % _PIECE
        while position < end:
            piece = os.pread(descriptor, _PIECE, position)
            if piece != _ZEROS[: len(piece)]:
                yield position, piece
            position += _PIECE
