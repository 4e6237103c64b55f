"""What may happen to files of a shared folder, as it is told to a guest."""

from __future__ import annotations

from typing import NamedTuple

CREATE, MKDIR, SYMLINK = "create", "mkdir", "symlink"
DELETE, RMDIR = "delete", "rmdir"
RENAME = "rename"
MODIFY = "modify"  # what is in a file
TOUCH = "touch"  # what is in a folder, nobody knows what
ATTRIB = "attrib"  # mode, owner, times
BIRTHS = frozenset({CREATE, MKDIR, SYMLINK})
DEATHS = frozenset({DELETE, RMDIR})
ALL = BIRTHS | DEATHS | {RENAME, MODIFY, TOUCH, ATTRIB}


class Change(NamedTuple):
    """What was done (one of the words above) to `path`; a rename has a new name in `to`.

    Paths are relative to the shared folder, whose own path is empty, with `/` between names.
    """

    did: str
    path: str
    to: str = ""


def is_below(path: str, folder: str) -> bool:
    """Whether `path` is `folder`, or something in it."""
    return path == folder or not folder or path.startswith(f"{folder}/")
