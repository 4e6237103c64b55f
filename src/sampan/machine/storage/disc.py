"""Files of ISO 9660 discs, such as those that `iso` writes: one of the root folder, by its name.

Names are those of Rock Ridge (`NM`). Whatever does not look like such a disc has no files; what
is read is bounded by what the caller wants.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO

from sampan.machine.storage.iso import BLOCK_BYTES

_VOLUME_AT = 16 * BLOCK_BYTES
_MAX_FOLDER = 1 << 20


def content(path: Path, name: str, *, limit: int) -> bytes | None:
    """What the file `name` on the disc at `path` holds; None without one, or if it is longer.

    Raises:
        OSError: the disc cannot be read.
    """
    with path.open("rb") as disc:
        volume = _read(disc, _VOLUME_AT, BLOCK_BYTES)
        if volume[:7] != b"\1CD001\1":
            return None
        place, size = _extent(volume[156:190])
        folder = _read(disc, place * BLOCK_BYTES, min(size, _MAX_FOLDER))
        found = _find(folder, name.encode())
        if found is None or found[1] > limit:
            return None
        data = _read(disc, found[0] * BLOCK_BYTES, found[1])
    return data if len(data) == found[1] else None


def _read(disc: IO[bytes], place: int, size: int) -> bytes:
    disc.seek(place)
    return disc.read(size)


def _extent(record: bytes) -> tuple[int, int]:
    """The first block and the size in a directory record (ECMA-119, 9.1)."""
    return int.from_bytes(record[2:6], "little"), int.from_bytes(record[10:14], "little")


def _find(folder: bytes, name: bytes) -> tuple[int, int] | None:
    at = 0
    while at < len(folder):
        length = folder[at]
        if length < 34:  # the rest of this block is empty
            at += BLOCK_BYTES - at % BLOCK_BYTES
            continue
        record = folder[at : at + length]
        if len(record) == length and _name(record) == name:
            return _extent(record)
        at += length
    return None


def _name(record: bytes) -> bytes:
    """Its name by Rock Ridge (RRIP 4.1.4); empty without one."""
    own = record[32]
    use = record[33 + own + (own % 2 == 0) :]
    while len(use) > 4 and use[2] > 4:
        if use[:2] == b"NM":
            return use[5 : use[2]]
        use = use[use[2] :]
    return b""
