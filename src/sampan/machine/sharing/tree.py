"""A folder that is watched with all that is in it: inotify's notices made into changes.

inotify watches single folders and says names; here each new folder is watched, too, and looked
into (what was made in it before it was watched is as new as it is), and the two notices of a
rename are put together. Links are not followed. What cannot be watched (no permission, gone
before its turn) is left out.
"""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Callable

from sampan.base import log
from sampan.base.agent.change import (
    ATTRIB,
    CREATE,
    DELETE,
    MKDIR,
    MODIFY,
    RENAME,
    RMDIR,
    SYMLINK,
    Change,
)
from sampan.machine.error import MachineError
from sampan.machine.sharing import inotify
from sampan.machine.sharing.inotify import IS_FOLDER, Inotify, Notice

_log = log.get(__name__)
PAIR_MS = 10  # between the two notices of a rename, if they do not come at once
_KINDS = {stat.S_IFREG: CREATE, stat.S_IFDIR: MKDIR, stat.S_IFLNK: SYMLINK}


def kind(path: bytes | str) -> str:
    """What made what is at `path`: a file, which it is taken for if it is gone, a folder, a link.

    Others (pipes, devices) no guest can be told to make: they are there, and have changed.
    """
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return CREATE
    return _KINDS.get(stat.S_IFMT(mode), ATTRIB)


class Tree:
    """The folder `source`; `heard` is called with each change, `lost` when some were missed."""

    def __init__(
        self,
        source: str,
        queue: Inotify,
        heard: Callable[[Change], None],
        lost: Callable[[], None],
    ) -> None:
        self._source = os.fsencode(source)
        self._queue = queue
        self._heard = heard
        self._lost = lost
        self._folders: dict[int, bytes] = {}  # watch → path below the source
        self._leaving: dict[int, tuple[bytes, int]] = {}  # cookie → old name of a rename, and mask
        self._refused: OSError | None = None  # more watches

    def start(self) -> None:
        """Watch the folder, and all there are in it.

        Raises:
            MachineError: it cannot be watched.
        """
        try:
            self._folders[self._queue.add(self._source)] = b""
        except OSError as error:
            raise _unwatched(self._source, error) from error
        self._enter(b"", is_news=False)
        if self._refused is not None:
            raise _unwatched(self._source, self._refused)

    def turn(self) -> None:
        """Take what has happened; call it when the queue can be read."""
        self._take(self._queue.read())
        if self._leaving:
            poll = select.poll()
            poll.register(self._queue, select.POLLIN)
            poll.poll(PAIR_MS)
            self._take(self._queue.read())
        for path, mask in self._leaving.values():  # out of the shared folder
            self._gone(path, mask)
        self._leaving.clear()

    def _take(self, notices: list[Notice]) -> None:
        for notice in notices:
            if notice.mask & inotify.OVERFLOW:
                self._begin_anew()
            elif notice.mask & inotify.IGNORED:
                self._folders.pop(notice.watch, None)
            elif notice.name and notice.watch in self._folders:
                self._noticed(notice, _join(self._folders[notice.watch], notice.name))

    def _noticed(self, notice: Notice, path: bytes) -> None:
        mask = notice.mask
        if mask & inotify.CREATE:
            self._born(path)
        elif mask & inotify.DELETE:
            self._say(RMDIR if mask & IS_FOLDER else DELETE, path)
        elif mask & inotify.MOVED_FROM:
            self._leaving[notice.cookie] = path, mask
        elif mask & inotify.MOVED_TO:
            self._arrived(notice, path)
        elif mask & inotify.ATTRIB:
            self._say(ATTRIB, path)
        elif mask & (inotify.MODIFY | inotify.CLOSE_WRITE):
            self._say(MODIFY, path)

    def _arrived(self, notice: Notice, path: bytes) -> None:
        before, mask = self._leaving.pop(notice.cookie, (b"", 0))
        if not before:
            self._born(path)
            return
        if mask & IS_FOLDER:
            for watch, folder in self._folders.items():
                if _is_in(folder, before):
                    self._folders[watch] = path + folder[len(before) :]
        self._heard(Change(RENAME, os.fsdecode(before), os.fsdecode(path)))

    def _born(self, path: bytes) -> None:
        did = kind(_join(self._source, path))
        self._say(did, path)
        if did == MKDIR:
            self._watch(path)
            self._enter(path, is_news=True)

    def _gone(self, path: bytes, mask: int) -> None:
        if mask & IS_FOLDER:
            for watch in [watch for watch, each in self._folders.items() if _is_in(each, path)]:
                self._queue.remove(watch)
                del self._folders[watch]
        self._say(RMDIR if mask & IS_FOLDER else DELETE, path)

    def _enter(self, folder: bytes, *, is_news: bool) -> None:
        """Watch the folders in `folder`; `is_news`: what is there was made just now."""
        waiting = [folder]
        while waiting:
            inside = waiting.pop()
            try:
                with os.scandir(_join(self._source, inside)) as entries:
                    found = [(each.name, each.is_dir(follow_symlinks=False)) for each in entries]
            except OSError:  # gone, or not ours to read
                continue
            for name, is_folder in found:
                path = _join(inside, name)
                if is_news:
                    self._say(kind(_join(self._source, path)), path)
                if is_folder:
                    self._watch(path)
                    waiting.append(path)

    def _watch(self, path: bytes) -> None:
        try:
            self._folders[self._queue.add(_join(self._source, path))] = path
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return
        except OSError as error:
            if self._refused is None:
                _log.warning("%s", _unwatched(_join(self._source, path), error))
            self._refused = error

    def _begin_anew(self) -> None:
        """Notices were dropped: of folders that were made or renamed nothing is known."""
        self._leaving.clear()
        self._lost()
        root = next((watch for watch, path in self._folders.items() if not path), None)
        self._folders = {} if root is None else {root: b""}
        self._enter(b"", is_news=False)

    def _say(self, did: str, path: bytes) -> None:
        self._heard(Change(did, os.fsdecode(path)))


def _join(folder: bytes, name: bytes) -> bytes:
    return folder + b"/" + name if folder and name else folder or name


def _is_in(path: bytes, folder: bytes) -> bool:
    return path == folder or path.startswith(folder + b"/")


def _unwatched(folder: bytes, error: OSError) -> MachineError:
    return MachineError(
        f"cannot watch {os.fsdecode(folder)}: {error.strerror}",
        hint="a folder costs one of fs.inotify.max_user_watches: share a smaller one",
    )
