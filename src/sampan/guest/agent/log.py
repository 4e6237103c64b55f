"""Log files of bounded size, and their ends.

Containers write to their log file themselves (append mode), so a restart of ours loses no
line and costs nothing per line. When a file has grown too large its end is kept aside and the
file is emptied; what is written in that instant may be lost.
"""

from __future__ import annotations

import os

LIMIT = 1 << 20  # bytes of a log file before it is turned over
_KEPT = 256 << 10
_TAIL_BYTES = 16 << 10


def open_log(path: str) -> int:
    """A descriptor that appends to the file `path`, which is made with its folder if missing."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)


def turn_over(path: str) -> bool:
    """Empty the log `path` if it is too large; its end stays in `path.1`."""
    try:
        size = os.stat(path).st_size
    except FileNotFoundError:
        return False
    if size <= LIMIT:
        return False
    with open(path, "r+b") as stream:
        stream.seek(size - _KEPT)
        kept = stream.read(_KEPT)
        stream.truncate(0)  # first: the filesystem may be full
    with open(f"{path}.1", "wb") as older:
        older.write(kept.partition(b"\n")[2])
    return True


def tail(path: str, lines: int) -> list[str]:
    """The last `lines` lines of the file `path`; none when it does not exist."""
    try:
        with open(path, "rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - _TAIL_BYTES))
            return stream.read().decode(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        return []
