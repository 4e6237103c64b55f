"""Pretences: what is staged, in which order, and how a teller sees names until all is used.

Theory of operation. The teller repeats what the host has done already. To the guest's kernel each
call must look as if it were the first: so until the call that belongs to an item comes, the
teller sees the names of the item as they were before. The first item left that is about a name
says how it is seen. A folder that has items below it is seen, even if it is gone by now. What
there is on the host, and what the guest knows, are for the caller to find out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum, auto
from typing import NamedTuple

from sampan.vhost.core.fuse.control import EXPIRY_S, Deed, Item, Path

_MADE = (Deed.CREATE, Deed.MKDIR, Deed.SYMLINK)
_GONE = (Deed.DELETE, Deed.RMDIR)


class Sight(Enum):
    """How a teller sees a name."""

    ABSENT = auto()  # it will be made
    GONE = auto()  # as what it was before it was removed
    MOVED = auto()  # as what has the item's new name by now
    TARGET = auto()  # as what was there before the item's rename, if that was anything
    THERE = auto()  # as what is there; if nothing is, something was


class View(NamedTuple):
    """How, and why; `folder` is whether it is one, if that is known."""

    sight: Sight
    item: Item
    folder: bool | None


class Pretences:
    """The items that are staged and not used yet."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._until = 0.0

    def __len__(self) -> int:
        return len(self._items)

    def stage(self, items: Iterable[Item], now: float) -> int:
        """These take the place of all before; of those, how many were never used."""
        left = len(self._items)
        self._items = list(items)
        self._until = now + EXPIRY_S
        return left

    def view(self, path: Path, now: float) -> View | None:
        """How the teller sees what is at `path`; None: as it is."""
        self._expire(now)
        for item in self._items:
            if item.path == path:
                return _of_path(item)
            if item.to == path:
                return View(Sight.TARGET, item, None)
        for item in self._items:
            if any(len(each) > len(path) and each[: len(path)] == path for each in item[1:3]):
                return View(Sight.THERE, item, folder=True)
        return None

    def take(self, deeds: Sequence[Deed], path: Path, now: float, to: Path = ()) -> Item | None:
        """Use the first item that one of `deeds` at `path` belongs to; None: there is none."""
        self._expire(now)
        for number, item in enumerate(self._items):
            if item.did in deeds and item.path == path and item.to == to:
                return self._items.pop(number)
        return None

    def _expire(self, now: float) -> None:
        if now >= self._until:
            self._items.clear()


def _of_path(item: Item) -> View:
    if item.did in _MADE:
        return View(Sight.ABSENT, item, None)
    if item.did in _GONE:
        return View(Sight.GONE, item, item.did is Deed.RMDIR)
    if item.did is Deed.RENAME:
        return View(Sight.MOVED, item, None)
    return View(Sight.THERE, item, None)
