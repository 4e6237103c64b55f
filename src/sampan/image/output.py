"""Where outputs go, and what is said when they cannot be written."""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import msgspec

from sampan.base import fs
from sampan.errors import SampanError, UsageError


class Output(msgspec.Struct, frozen=True):
    """What outputs are called: `folder`/`name` and a suffix for each.

    A format that is one file may go to `file` instead, or to the stream `stream`.
    """

    folder: Path
    name: str
    file: Path | None = None
    stream: IO[bytes] | None = None

    def path(self, suffix: str) -> Path:
        """The path of the output with that suffix."""
        return self.file or self.folder / f"{self.name}{suffix}"

    def check(self) -> None:
        """Refuse a folder that is not there, before any work is done.

        What builds that were killed left half-written in it is removed.

        Raises:
            UsageError: it is missing, or no folder.
        """
        if self.stream is None:
            folder = self.path("").parent
            if not folder.is_dir():
                raise UsageError(f"there is no folder {folder}", hint=f"mkdir -p {folder}")
            with suppress(OSError):  # it cannot be listed, but perhaps written
                fs.remove_stale(folder)


@contextmanager
def writing(path: Path) -> Iterator[IO[bytes]]:
    """The output at `path`, which appears whole when the block ends well, or not at all.

    Raises:
        SampanError: it cannot be written; nothing of it is left.
    """
    with explained(path), fs.atomic_file(path, durable=False) as stream:
        yield stream
        stream.flush()
        _make_way(path)


def _make_way(path: Path) -> None:
    """Remove the old output: ext4 writes a file out at once when it is renamed over another.

    Links, devices and pipes stay: they are not replaced, but written through.
    """
    with suppress(FileNotFoundError):
        if stat.S_ISREG(path.lstat().st_mode):
            path.unlink()


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Say in plain words what the operating system refuses while `path` is written.

    Raises:
        SampanError: in place of an OSError.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        hint = None
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            hint = "make room and build again; nothing half-written was left"
        raise SampanError(f"{path} cannot be written: {why}", hint=hint) from error
