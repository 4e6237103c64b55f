"""What the parent of a share server may say: lines of JSON on a Unix stream socket (`--control FD`).

Each line is answered by one line, in order. A path is relative to the shared folder, as
`os.fsdecode` gives it (so bytes that are no UTF-8 are lone surrogates, which JSON escapes).

A *teller* is a task of the guest (a thread: its first, or one made for this) that repeats there
what happened on the host, so that the guest's own kernel tells whoever watches. ::

    {"teller": TOKEN}              a name that cannot be guessed  →  {"teller": TOKEN}

The guest's task then opens TOKEN in the share's root for reading (O_RDONLY; a file that is not
really there and only root may open) and **keeps it open**: it is the teller until it closes
that, or dies. A token is good for one teller at a time: the last that opened it. From then on
whatever the teller does that would change something either meets a pretence, or fails with
ECANCELED: **a teller never changes anything on the host**. It looks and reads like any task. ::

    {"stage": [ITEM, ...]}         at most MAX_ITEMS  →  {"staged": N, "own": [I, ...], "left": M}

    ITEM                                              the teller's matching call
    {"did": "create",  "path": "a/b"}                 open(O_CREAT|O_EXCL|O_WRONLY), or mknod(S_IFREG)
    {"did": "mkdir",   "path": "a/b"}                 mkdir
    {"did": "symlink", "path": "a/b"}                 symlink, with any target
    {"did": "delete",  "path": "a/b"}                 unlink
    {"did": "rmdir",   "path": "a/b"}                 rmdir
    {"did": "rename",  "path": "a/b", "to": "a/c"}    rename
    {"did": "modify",  "path": "a/b"}                 open(O_WRONLY), write of 1 byte at 0, close;
                                                      or truncate, which is IN_MODIFY alone,
                                                      with or without an open
    {"did": "attrib",  "path": "a/b"}                 utime, chmod or chown, with any values

The path of `modify` and `attrib` may be empty: the shared folder itself. Items whose indices are
in `own` are the guest's own doing, which it has heard of; they are not staged, and N counts the
others.

A stage takes the place of the one before; M pretences of that were never used. A pretence is
used by the teller's matching call, once, or forgotten after EXPIRY_S. Until then the teller sees
the name as it was before: what is created is not there, what is deleted still is, what is
renamed has its old name and not the new one. Items about one name are used in their order.

The call succeeds, and changes nothing: what was created is the host's real file, if there is
one of that type by now; else the server makes one up, which is gone when it is looked at again.
What is written is thrown away. `"folder": true` in `rename` and `attrib` says that it was a
folder, and matters only if it is gone by now.

Before a rename the teller should `lstat` the old name: Linux cannot attach a folder that it
knows by its new name to the old one while it is renaming.

    anything else                                     →  {"error": TEXT}

When the parent closes the socket before the machine has connected, the server ends.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from sampan.vhost.core.error import RemoteProtocolError
from sampan.vhost.core.fuse.request import is_name

MAX_LINE = 1 << 20
MAX_ITEMS = 256
MAX_PATH = 4096
EXPIRY_S = 20.0

Path: TypeAlias = tuple[bytes, ...]
"""The names from the shared folder on."""


class Deed(StrEnum):
    """What happened on the host."""

    CREATE = "create"
    MKDIR = "mkdir"
    SYMLINK = "symlink"
    DELETE = "delete"
    RMDIR = "rmdir"
    RENAME = "rename"
    MODIFY = "modify"
    ATTRIB = "attrib"


_OF_ROOT = (Deed.MODIFY, Deed.ATTRIB)  # what can happen to the shared folder itself


class Item(NamedTuple):
    """One thing that happened; `to` is empty but for a rename."""

    did: Deed
    path: Path
    to: Path = ()
    folder: bool = False


class Teller(NamedTuple):
    """Whoever opens this name in the root is the teller."""

    token: bytes


class Stage(NamedTuple):
    """What the teller is about to repeat."""

    items: tuple[Item, ...]


Order: TypeAlias = Teller | Stage


def parse(line: bytes) -> Order:
    """What a line asks for.

    Raises:
        RemoteProtocolError: it is no order.
    """
    try:
        said = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RemoteProtocolError(f"no JSON: {error}") from error
    match said:
        case {"teller": str(token), **rest} if not rest:
            [name] = _path(token, 1)
            return Teller(name)
        case {"stage": list(items), **rest} if not rest:
            if len(items) > MAX_ITEMS:
                raise RemoteProtocolError(f"{len(items)} items at once; {MAX_ITEMS} may be")
            return Stage(tuple(map(_item, items)))
    raise RemoteProtocolError("neither a teller nor a stage")


def _item(said: object) -> Item:
    match said:
        case {"did": str(did), "path": str(path), **rest} if did in set(Deed):
            deed, to, folder = Deed(did), rest.pop("to", None), rest.pop("folder", False)
            if not rest and isinstance(folder, bool) and (to is None) == (deed is not Deed.RENAME):
                whole = () if not path and deed in _OF_ROOT else _path(path)
                return Item(deed, whole, () if to is None else _path(to), folder)
    raise RemoteProtocolError(f"nothing that can be staged: {str(said)[:100]}")


def _path(text: object, most: int = MAX_PATH) -> Path:
    try:
        data = os.fsencode(text) if isinstance(text, str) else b""
    except UnicodeEncodeError:
        data = b""
    names = tuple(data.split(b"/"))
    if len(data) > MAX_PATH or len(names) > most or not all(map(is_name, names)):
        raise RemoteProtocolError(f"not the path of something in the folder: {str(text)[:100]}")
    return names


def answer(**said: object) -> bytes:
    """A line that answers."""
    return json.dumps(said).encode() + b"\n"


class Lines:
    """Puts lines together from what is read."""

    def __init__(self) -> None:
        self._data = b""

    def received(self, data: bytes) -> Iterator[bytes]:
        """The lines that are whole by now, without their ends.

        Raises:
            RemoteProtocolError: one is longer than MAX_LINE.
        """
        *lines, self._data = (self._data + data).split(b"\n")
        yield from lines
        if len(self._data) > MAX_LINE:
            raise RemoteProtocolError(f"a line of more than {MAX_LINE} bytes")
