"""Changes of a shared folder that a guest has not been told yet, as few as say the same.

A guest is told a moment late, and is told by doing what was done: so each change here speaks of
names as they are when it is its turn, and the folders on the way to a name are there now. What
was made and is gone again is not told; a file that was written, then renamed, was renamed and is
changed; what was in a folder that is gone went with it. (Folders that exchange their names in
that moment are beyond this: some of what is told will then be refused, and not be heard.)

Of more than `MANY` changes only the folders are remembered in which they were. Pure; time is
given, and so is what can tell a folder from a file.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable

from sampan.base.agent.change import (
    BIRTHS,
    CREATE,
    DEATHS,
    DELETE,
    MODIFY,
    RENAME,
    TOUCH,
    Change,
    is_below,
)  # fmt: skip

QUIET_S = 0.05
LONGEST_S = 0.5  # a folder where something happens all the time is told of all the same
MANY = 1000
MANY_FOLDERS = 250


class Changes:
    """What is to be told of one share: `noted` as it happens, and `take`n when it is due.

    `kind` says which of `BIRTHS` made what is at a path.
    """

    def __init__(self, kind: Callable[[str], str]) -> None:
        self._kind = kind
        # in the order in which they are told; a birth may have (True) replaced something
        self._pending: dict[Change, bool] = {}
        self._folders: set[str] = set()  # in which too much happened
        self._first_s = self._last_s = 0.0

    def __bool__(self) -> bool:
        return bool(self._pending or self._folders)

    def due_s(self) -> float:
        """When what is there is to be told."""
        return min(self._last_s + QUIET_S, self._first_s + LONGEST_S)

    def take(self) -> list[Change]:
        """What is to be told, in this order; once."""
        told = [*(Change(TOUCH, folder) for folder in sorted(self._folders)), *self._pending]
        self._folders.clear()
        self._pending.clear()
        return told

    def lost(self, now: float) -> None:
        """Nobody knows what happened, only that something did."""
        self._touched(now)
        self._pending.clear()
        self._folders = {""}

    def noted(self, change: Change, now: float) -> None:
        """Something happened."""
        self._touched(now)
        if self._folders or len(self._pending) >= MANY:
            self._sum_up(change)
        elif change.did in DEATHS:
            self._died(change)
        elif change.did == RENAME:
            self._renamed(change.path, change.to)
        elif change.did in BIRTHS or change.did == MODIFY or not self._born_at(change.path):
            self._pending.setdefault(change, False)

    def _touched(self, now: float) -> None:
        if not self:
            self._first_s = now
        self._last_s = now

    def _sum_up(self, change: Change) -> None:
        for each in (*self._pending, change):
            self._folders |= {posixpath.dirname(path) for path in (each.path, each.to or each.path)}
        self._pending.clear()
        if len(self._folders) > MANY_FOLDERS:
            self._folders = {""}

    def _born_at(self, path: str) -> Change | None:
        return next((each for did in BIRTHS if (each := Change(did, path)) in self._pending), None)

    def _died(self, change: Change) -> None:
        path = change.path
        born = self._born_at(path)
        was_there = born is None or self._pending[born]
        for each in [each for each in self._pending if _speaks_of(each, path)]:
            del self._pending[each]
            if each.did != RENAME:
                continue
            if each.to == path:  # what it had replaced, if anything, is gone as well
                self._pending[Change(change.did, each.path)] = False
            elif is_below(each.to, path):
                self._pending[Change(DELETE, each.path)] = False
            else:  # it left the folder before that went: who knows only the folder finds it new
                self._pending[Change(self._kind(each.to), each.to)] = True
        if was_there:
            self._pending[change] = False

    def _renamed(self, path: str, to: str) -> None:
        born, before = self._born_at(path), self._renamed_to(path)
        moving = {
            each: self._pending.pop(each)
            for each in list(self._pending)
            if _speaks_of(each, path)
        }  # fmt: skip
        self._replaced(to)
        if born is not None:
            del moving[born]
            self._appeared(born.did, to)
        elif before is None:
            self._pending[Change(RENAME, path, to)] = False
        else:
            del moving[before]
            if self._is_taken(before.path):
                self._appeared(self._kind(to), to)
            elif before.path != to:
                self._pending[Change(RENAME, before.path, to)] = False
            self._pending[Change(DELETE, path)] = False  # what it had replaced, if anything
        for each, was_there in moving.items():
            self._pending[_moved(each, path, to)] = was_there

    def _renamed_to(self, path: str) -> Change | None:
        return next((each for each in self._pending if each.to == path), None)

    def _is_taken(self, path: str) -> bool:
        """Whether something else is at `path` since what was there went."""
        return self._born_at(path) is not None or self._renamed_to(path) is not None

    def _appeared(self, did: str, path: str) -> None:
        """Something is at `path` that is new to the guest, perhaps in the place of another."""
        self._pending[Change(did, path)] = True
        if did == CREATE:  # who has seen the other is told that, too
            self._pending[Change(MODIFY, path)] = False

    def _replaced(self, path: str) -> None:
        """What is at `path` is about to be overwritten."""
        for each in [each for each in self._pending if path in (each.path, each.to)]:
            if each.did == RENAME and each.to == path:
                del self._pending[each]
                self._pending[Change(DELETE, each.path)] = False
            elif not _is_gone(each):
                del self._pending[each]


def _is_gone(change: Change) -> bool:
    """Whether the name `path` of a change is that of something that is there no more."""
    return change.did in DEATHS or change.did == RENAME


def _speaks_of(change: Change, path: str) -> bool:
    """Whether a change is of what is at `path` now, or of something in that folder."""
    if change.path == path and _is_gone(change):
        return False
    return is_below(change.path, path) or bool(change.to and is_below(change.to, path))


def _moved(change: Change, path: str, to: str) -> Change:
    """A change of what is at `path` or in it, once that is called `to`."""
    names = (
        each if not each or not is_below(each, path) else to + each[len(path) :]
        for each in (change.path, change.to)
    )
    return Change(change.did, *names)
