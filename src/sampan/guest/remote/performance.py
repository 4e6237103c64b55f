"""What the host did to the files of a share, done again in the guest for those who watch there.

Programs that watch files hear from the guest's kernel, and it speaks only of what is done in the
guest. So this process makes, removes and renames; the server of the share knows it (it has a file
open that only the two know of, and that is not really there), plays along and changes nothing,
for as long as that is open. Nothing is done without it: a folder that is not the share, or the
share of a server that would do what it is told, is left alone.

The folder is others' to change at the same time: what is touched is reached through no link and
no mount. What cannot be done is left out; its watchers hear nothing, as without all this. Only
what is there already, as who looked into the folder in between knows, is tried again once the
kernel has forgotten that.
"""

from __future__ import annotations

import os
import posixpath
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from sampan.base.agent.change import (
    ALL,
    ATTRIB,
    CREATE,
    DELETE,
    MKDIR,
    MODIFY,
    RENAME,
    RMDIR,
    SYMLINK,
    TOUCH,
    Change,
)  # fmt: skip
from sampan.guest.remote import kernel
from sampan.guest.remote.fault import CallError

FORGOTTEN_S = 1.1  # the server lets kernels believe what they were told for a second
_FOLDER = os.O_PATH | os.O_DIRECTORY
_NEW = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


def change(said: object) -> Change:
    """A change, from what a call says: its three texts.

    Raises:
        CallError: it is none.
    """
    match said:
        case [str(did), str(path), str(to)] if did in ALL:
            if _is_inside(path) and _is_inside(to) and bool(to) == (did == RENAME):
                return Change(did, path, to)
    raise CallError(f"{said!r:.200} is not a change")


def _is_inside(path: str) -> bool:
    return not path or ("\0" not in path and not {"", ".", ".."} & set(path.split("/")))


def perform(target: str, token: str, changes: Sequence[Change]) -> None:
    """Do `changes`, in this order, in the share at `target` whose server knows `token`.

    Raises:
        CallError: no server there knows it.
        OSError: there is no folder.
    """
    root = os.open(target, _FOLDER | os.O_CLOEXEC)
    try:
        known = _introduced(root, target, token)
        try:
            again = _do(root, changes)
            # who is told that a file was changed need not hear that it is new
            late = [each for each in again if Change(MODIFY, each.path) not in changes]
            if late:
                time.sleep(FORGOTTEN_S)
                _do(root, late)
        finally:
            os.close(known)
    finally:
        os.close(root)


def _do(root: int, changes: Iterable[Change]) -> list[Change]:
    """Do what can be done; what could not because it is there already."""
    there: list[Change] = []
    for each in changes:
        try:
            _DOINGS[each.did](root, each)
        except FileExistsError:
            there.append(each)
        except OSError:
            continue  # it is otherwise by now: there will be another change
    return there


def _introduced(root: int, target: str, token: str) -> int:
    """The file that makes this task known to the server while it is open."""
    try:
        if not _is_inside(token) or "/" in token:
            raise FileNotFoundError
        return kernel.open_beneath(root, token, os.O_RDONLY)
    except OSError:
        raise CallError(f"{target} is not a share whose server lets changes be told") from None


@contextmanager
def _parent(root: int, path: str) -> Iterator[tuple[int, str]]:
    """A descriptor of the folder that `path` is in, and the name there."""
    above, name = posixpath.split(path)
    folder = kernel.open_beneath(root, above or ".", _FOLDER)
    try:
        yield folder, name
    finally:
        os.close(folder)


def _create(root: int, each: Change) -> None:
    with _parent(root, each.path) as (folder, name):
        os.close(os.open(name, _NEW, 0o600, dir_fd=folder))


def _make_folder(root: int, each: Change) -> None:
    with _parent(root, each.path) as (folder, name):
        os.mkdir(name, 0o700, dir_fd=folder)


def _make_link(root: int, each: Change) -> None:
    with _parent(root, each.path) as (folder, name):
        os.symlink(".", name, dir_fd=folder)  # it leads where the host's leads


def _delete(root: int, each: Change) -> None:
    with _parent(root, each.path) as (folder, name):
        os.unlink(name, dir_fd=folder)


def _remove_folder(root: int, each: Change) -> None:
    with _parent(root, each.path) as (folder, name):
        os.rmdir(name, dir_fd=folder)


def _rename(root: int, each: Change) -> None:
    with _parent(root, each.path) as (folder, name), _parent(root, each.to) as (new_folder, new):
        # a folder that is known by its new name already is not looked for while it is renamed
        os.stat(name, dir_fd=folder, follow_symlinks=False)
        os.rename(name, new, src_dir_fd=folder, dst_dir_fd=new_folder)


def _modify(root: int, each: Change) -> None:
    file = kernel.open_beneath(root, each.path, _WRITE)
    try:
        os.ftruncate(file, os.fstat(file).st_size)  # a write would be in the guest's memory
    finally:
        os.close(file)


def _touch(root: int, each: Change) -> None:
    with _parent(root, each.path) as (folder, name):
        kernel.touched(folder, name, is_content=each.did == TOUCH)


_DOINGS: dict[str, Callable[[int, Change], None]] = {
    CREATE: _create,
    MKDIR: _make_folder,
    SYMLINK: _make_link,
    DELETE: _delete,
    RMDIR: _remove_folder,
    RENAME: _rename,
    MODIFY: _modify,
    TOUCH: _touch,
    ATTRIB: _touch,
}
