"""What the guest knows: one node for each file, folder or link of the host that it has looked up."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from sampan.vhost.core.fuse.wire import ROOT

_PATH = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_DEPTH = 1024
_NUMBER_BITS = 48


class Node:
    """A file, folder or link. Without a descriptor (-1) it is made up, and `kind` is all there is.

    `count` is how often the guest was told of it, and has not forgotten it; `parent` and `name`
    are where it was found last. `seen` is what its data looked like when it was opened last.
    """

    __slots__ = ("count", "fd", "id", "key", "kind", "name", "parent", "seen")

    def __init__(self, number: int, fd: int, key: tuple[int, int], kind: int) -> None:
        self.id = number
        self.fd = fd
        self.key = key
        self.kind = kind
        self.count = 0
        self.parent = 0
        self.name = b""
        self.seen: tuple[int, int] | None = None


class Nodes:
    """All nodes; their numbers are never used again. Owns the descriptors, the root's too.

    `files` is the path of a folder where descriptors are names of what they are open on.
    """

    def __init__(self, root: int, limit: int, files: str = "/proc/self/fd/") -> None:
        self._files = files
        self._limit = limit
        self._next = ROOT + 1
        self._nodes: dict[int, Node] = {}
        self._keys: dict[tuple[int, int], Node] = {}
        self._places: dict[tuple[int, bytes], Node] = {}
        self._made_up = 0
        status = os.fstat(root)
        self._devices = {status.st_dev: 0}
        self.root = Node(ROOT, root, (status.st_dev, status.st_ino), stat.S_IFDIR)
        self._keep(self.root)

    def _keep(self, node: Node) -> None:
        self._nodes[node.id] = node
        if node.fd >= 0:
            self._keys[node.key] = node

    def __len__(self) -> int:
        return len(self._nodes)

    def __contains__(self, number: int) -> bool:
        return number in self._nodes

    def get(self, number: int) -> Node:
        """The node of this number, made up or not.

        Raises:
            OSError: ESTALE, the guest was never told of it, or has forgotten it.
        """
        node = self._nodes.get(number)
        if node is None:
            raise OSError(errno.ESTALE, "no such node")
        return node

    def real(self, number: int) -> Node:
        """The node of this number, which has a descriptor.

        Raises:
            OSError: ESTALE, as `get`; ENOENT, it is made up.
        """
        node = self.get(number)
        if node.fd < 0:
            raise OSError(errno.ENOENT, "nothing is there")
        return node

    def path(self, node: Node) -> str:
        """A path of this process that leads to the node, to be followed."""
        return f"{self._files}{node.fd}"

    def number(self, status: os.stat_result) -> int:
        """An inode's number, for the guest: another for each file of all file systems."""
        device = self._devices.setdefault(status.st_dev, len(self._devices))
        return status.st_ino ^ device << _NUMBER_BITS

    # Coming

    def look_up(self, parent: Node, name: bytes) -> tuple[Node, os.stat_result]:
        """What is called `name` in a folder; the guest must be told of it, or it is forgotten never.

        Raises:
            OSError: there is no such thing, or there are too many nodes (ENFILE).
        """
        node, status = self.visit(parent, name)
        self.place(node, parent, name)
        return node, status

    def visit(self, parent: Node, name: bytes) -> tuple[Node, os.stat_result]:
        """The same, but it was not there that the guest has found it."""
        return self._open(os.open(name, _PATH, dir_fd=parent.fd))

    def adopt(self, fd: int, parent: Node, name: bytes) -> tuple[Node, os.stat_result]:
        """As `look_up`, of an O_PATH descriptor, which is now ours."""
        node, status = self._open(fd)
        self.place(node, parent, name)
        return node, status

    def _open(self, fd: int) -> tuple[Node, os.stat_result]:
        try:
            status = os.fstat(fd)
            key = (status.st_dev, status.st_ino)
            node = self._keys.get(key)
            if node is None:
                node = self._add(fd, key, stat.S_IFMT(status.st_mode))
                fd = -1
        finally:
            if fd >= 0:
                os.close(fd)
        node.count += 1
        return node, status

    def tell(self, node: Node, parent: Node, name: bytes) -> Node:
        """The guest is told of a node that was found here."""
        self.place(node, parent, name)
        node.count += 1
        return node

    def reopen(self, fd: int) -> int:
        """An O_PATH descriptor of what another one is open on."""
        return os.open(f"{self._files}{fd}", os.O_PATH | os.O_CLOEXEC)

    def make_up(self, kind: int, parent: Node, name: bytes) -> Node:
        """A node of something that is not there; `kind` is its type."""
        self._made_up += 1
        return self.tell(self._add(-1, (-1, self._made_up), kind), parent, name)

    def _add(self, fd: int, key: tuple[int, int], kind: int) -> Node:
        if len(self._nodes) >= self._limit:
            raise OSError(errno.ENFILE, "too many files are known")
        node = Node(self._next, fd, key, kind)
        self._next += 1
        self._keep(node)
        return node

    # Places

    def place(self, node: Node, parent: Node, name: bytes) -> None:
        """The node was found here."""
        if node.id == ROOT:
            return
        if node.parent != parent.id or node.name != name:
            self._leave(node)
            node.parent, node.name = parent.id, name
        self._places[parent.id, name] = node

    def placed(self, parent: Node, name: bytes) -> Node | None:
        """What was found there last, if the guest still knows it."""
        return self._places.get((parent.id, name))

    def vacate(self, parent: Node, name: bytes) -> None:
        """What was found there is no longer there."""
        self._places.pop((parent.id, name), None)

    def _leave(self, node: Node) -> None:
        place = (node.parent, node.name)
        if self._places.get(place) is node:
            del self._places[place]

    def names(self, node: Node) -> tuple[bytes, ...] | None:
        """The names from the root to a node, as it was found last; None if that is not known."""
        found: list[bytes] = []
        at: Node | None = node
        while at is not None and at.id != ROOT and len(found) < _MAX_DEPTH:
            found.append(at.name)
            at = self._nodes.get(at.parent)
        return tuple(reversed(found)) if at is self.root else None

    # Going

    def forget(self, number: int, count: int) -> None:
        """The guest forgets so many times that it was told of a node."""
        node = self._nodes.get(number)
        if node is None or number == ROOT:
            return
        node.count -= min(count, node.count)
        if not node.count:
            self._drop(node)

    def _drop(self, node: Node) -> None:
        del self._nodes[node.id]
        self._leave(node)
        if node.fd >= 0:
            del self._keys[node.key]
            os.close(node.fd)

    def clear(self) -> None:
        """The guest has forgotten all but the root."""
        for node in tuple(self):
            if node.id != ROOT:
                self._drop(node)

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes.values())

    def close(self) -> None:
        """Give all back."""
        self.clear()
        os.close(self.root.fd)
