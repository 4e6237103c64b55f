"""Files of the host that `files` names with `source:`, found and measured before planning."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path

from sampan.errors import DocumentError, Problem
from sampan.image.step import HostFile
from sampan.spec.model import Spec


def read_sources(spec: Spec, *, home: Path) -> dict[int, HostFile]:
    """Find the host's files that `files` names, and their digests; by index in `files`.

    Missing sources of `optional` files are left out.

    Raises:
        DocumentError: sources are missing or unreadable; all are told.
    """
    found: dict[int, HostFile] = {}
    problems: list[Problem] = []
    for index, file in enumerate(spec.files):
        if not file.source:
            continue
        path = home / file.source[2:] if file.source.startswith("~/") else Path(file.source)
        try:
            found[index] = _look(path)
        except OSError as error:
            if file.optional is True and isinstance(error, FileNotFoundError | NotADirectoryError):
                continue
            why = (error.strerror or str(error)).lower()
            problems.append(
                Problem(
                    f"files[{index}].source",
                    f"{path}: {why}",
                    hint="paths are relative to where sampan is started; "
                    "`optional: true` leaves out what is missing",
                )
            )
    if problems:
        raise DocumentError(problems)
    return found


def _look(path: Path) -> HostFile:
    with path.open("rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        digest = hashlib.file_digest(stream, "sha256")
        return HostFile(path, stream.tell(), digest.digest())
