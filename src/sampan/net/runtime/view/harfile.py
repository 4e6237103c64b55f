"""An HTTP archive on disk that is whole at any time: each entry is written over the last closing.

Not `base.fs.atomic_file`: an archive grows for as long as somebody looks on, and is to be there
when the network is killed.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from sampan.errors import SampanError
from sampan.net.services import har
from sampan.net.services.httpview import Exchange


class HarFileError(SampanError):
    """The archive cannot be written."""


class HarFile:
    """An archive at `path`, instead of what was there.

    Args:
        path: where.
        version: of Sampan.
        epoch_s: seconds from 1970 to the zero of the clock that exchanges are timed by.
        secrets: whether credentials are left in.

    Raises:
        HarFileError: the file cannot be made.
    """

    def __init__(self, path: Path, *, version: str, epoch_s: float, secrets: bool = False) -> None:
        self.path = path
        self.count = 0
        self._epoch_s = epoch_s
        self._secrets = secrets
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe's
        try:
            self._fd = os.open(path, flags, 0o600)  # it may tell a lot about somebody
        except OSError as error:
            raise HarFileError(f"{path} cannot be written: {error.strerror}") from error
        self._end = 0  # of the entries
        try:
            self._write(har.opening(version))
        except HarFileError:
            self.close()
            raise

    def add(self, exchange: Exchange, *, server: str, connection: str) -> None:
        """Write one more entry.

        Raises:
            HarFileError: the disk is full, …; the file is closed, whole, without this entry.
        """
        entry = har.entry(
            exchange,
            epoch_s=self._epoch_s,
            server=server,
            connection=connection,
            secrets=self._secrets,
        )
        self._write((har.SEPARATOR if self.count else b"") + entry)
        self.count += 1

    def close(self) -> None:
        """The end. Nothing happens the second time."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _write(self, data: bytes) -> None:
        if self._fd < 0:
            raise HarFileError(f"{self.path} is closed")
        try:
            _write_at(self._fd, data + har.CLOSING, self._end)
        except OSError as error:
            with suppress(OSError):  # it is no file, or the disk is not only full
                os.ftruncate(self._fd, self._end)
                _write_at(self._fd, har.CLOSING, self._end)  # there was room for it before
            self.close()
            raise HarFileError(f"{self.path} cannot be written: {error.strerror}") from error
        self._end += len(data)


def _write_at(fd: int, data: bytes, position: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, position)
        position += written
        view = view[written:]
