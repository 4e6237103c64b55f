"""What the guest itself has done to the share, so that it is not told of that as the host's doing.

Whoever watches the folder on the host sees the guest's changes, too. A file is as the guest left
it while its time of change is the one it had right after the guest's last request; of what the
guest removed, the names are remembered until something of that name comes up again. Both are
bounded: what is forgotten is taken for the host's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import TypeAlias, TypeVar

from sampan.vhost.core.fuse import wire
from sampan.vhost.core.fuse.control import Deed, Item, Path
from sampan.vhost.core.fuse.request import Request
from sampan.vhost.core.fuse.wire import Op
from sampan.vhost.runtime.fuse.node import Node, Nodes

REMEMBERED = 10_000  # files, and as many names
Key: TypeAlias = tuple[int, int]  # of a file: its device and inode
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
_GONE = (Deed.DELETE, Deed.RMDIR)
# where in the body of a request the name of what it makes is
_MAKING = {
    Op.CREATE: wire.CREATE_IN.size, Op.MKDIR: wire.MKDIR_IN.size, Op.MKNOD: wire.MKNOD_IN.size,
    Op.LINK: wire.NODE.size, Op.SYMLINK: 0,
}  # fmt: skip
_CHANGING = (Op.WRITE, Op.SETATTR, Op.FALLOCATE, Op.SETXATTR, Op.REMOVEXATTR)


class Doings:
    """What is remembered of it; `done` after each request that was answered well."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._left: dict[Key, int] = {}  # when what is as the guest left it was changed last, in ns
        self._gone: dict[tuple[Key, bytes], None] = {}  # folder and name
        self._notes: dict[int, Callable[[Request], None]] = {
            **dict.fromkeys(_MAKING, self._made),
            **dict.fromkeys(_CHANGING, self._changed),
            Op.OPEN: self._opened,
            Op.COPY_FILE_RANGE: self._copied,
            Op.UNLINK: self._removed,
            Op.RMDIR: self._removed,
            Op.RENAME: self._renamed,
            Op.RENAME2: self._renamed,
        }

    def done(self, request: Request) -> None:
        """The guest has done this, and it is so on the host."""
        note = self._notes.get(request.op)
        if note is not None:
            note(request)

    def is_own(self, item: Item) -> bool:
        """Whether what is said to have happened is the guest's doing; asked once for each time.

        What was changed and is gone by now is taken for its own: there will be more to tell.
        """
        if item.did in _GONE:
            return self._forget_name(item.path)
        self._forget_name(item.path)
        found = self._look(item.to or item.path)
        if found is None:
            return item.did is not Deed.RENAME
        self._forget_name(item.to)
        return self._left.get((found.st_dev, found.st_ino)) == found.st_ctime_ns

    def _look(self, path: Path) -> os.stat_result | None:
        try:
            return os.stat(b"/".join(path) or b".", dir_fd=self._root, follow_symlinks=False)
        except OSError:
            return None

    @property
    def _root(self) -> int:
        return self._nodes.root.fd

    def _forget_name(self, path: Path) -> bool:
        """Whether the guest has removed what was at `path`; it is remembered no more."""
        above = self._look(path[:-1]) if path else None
        if above is None:
            return False
        place = (above.st_dev, above.st_ino), path[-1]
        is_known = place in self._gone
        self._gone.pop(place, None)
        return is_known

    # What the requests do

    def _made(self, request: Request) -> None:
        [name] = request.texts(_MAKING[Op(request.op)], 1)
        self._gone.pop((self._key(request.node), name), None)
        self._keep(request.node, name)

    def _changed(self, request: Request) -> None:
        self._keep(request.node)

    def _opened(self, request: Request) -> None:
        flags, _ = request.read(wire.OPEN_IN)
        if flags & os.O_TRUNC:
            self._keep(request.node)

    def _copied(self, request: Request) -> None:
        _, _, target, *_ = request.read(wire.COPY_IN)
        self._keep(target)

    def _removed(self, request: Request) -> None:
        _bounded(self._gone, (self._key(request.node), request.name()), None)

    def _renamed(self, request: Request) -> None:
        [new] = request.read(wire.NODE)
        start = wire.NODE.size if request.op == Op.RENAME else wire.RENAME2_IN.size
        for number, name in zip((request.node, new), request.texts(start, 2), strict=True):
            self._gone.pop((self._key(number), name), None)
            self._keep(number, name)

    def _key(self, number: int) -> Key:
        with suppress(OSError):
            return self._nodes.get(number).key
        return 0, 0  # the guest has forgotten it since, or asked nonsense

    def _keep(self, number: int, name: bytes = b"") -> None:
        """A node, or what is called `name` in that folder, is as the guest left it."""
        with suppress(OSError):
            node: Node | None = self._nodes.get(number)
            if name and node is not None:
                node = self._nodes.placed(node, name)
            if node is not None and node.fd >= 0:
                _bounded(self._left, node.key, os.fstat(node.fd).st_ctime_ns)


def _bounded(table: dict[K, V], key: K, value: V) -> None:
    """Put something at the end of a table, and the oldest out if it is too long."""
    table.pop(key, None)
    table[key] = value
    if len(table) > REMEMBERED:
        del table[next(iter(table))]
