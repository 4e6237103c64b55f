"""Room on the disk: whether there is enough before work begins, and what to say when not.

Programs of the host do not always notice a full disk (apt waits for ever), so it is asked for.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from sampan.base.units import format_size
from sampan.errors import SampanError

_FULL = ("no space left on device", "don't have enough free space", "disk quota exceeded")
_NEARLY_NOTHING = 1 << 20  # bytes; below that a disk counts as full


class NoSpaceError(SampanError):
    """The disk of a folder is full, or has less room than the work takes."""

    def __init__(self, folder: Path, found: str) -> None:
        super().__init__(
            f"no space left for {folder}: {found}",
            hint="make room there (sampan cache clean), or keep the cache on another disk: "
            "sampan --cache FOLDER, or SAMPAN_CACHE",
        )


def free(folder: Path) -> int:
    """The bytes that may still be written on the disk of `folder`, which must be there."""
    return shutil.disk_usage(folder).free


def require(folder: Path, size: int, what: str) -> None:
    """Have room for `size` bytes of `what`.

    Raises:
        NoSpaceError: there is less.
    """
    have = free(folder)
    if have < size:
        raise NoSpaceError(folder, f"{what} need {format_size(size)}, {format_size(have)} are free")


def is_full(folder: Path) -> bool:
    """Whether next to nothing can be written on the disk of `folder`."""
    return free(folder) < _NEARLY_NOTHING


def means_full(text: str) -> bool:
    """Whether a program that says `text` found no room."""
    low = text.lower()
    return any(words in low for words in _FULL)
