"""The file tree of a package while it is put together: names in memory, contents in one file.

Behaves as a root directory would: a name below a symbolic link to a directory lands where the
link points, a directory that arrives where such a link stands leaves it. But nothing exists
on the host's file system, so ownership, devices and setuid bits need no rights and no name can
escape. It knows neither Debian nor archives.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Self

import msgspec

from sampan.base.entry import Entry, Kind
from sampan.errors import SampanError

_CHUNK = 1 << 18
_MAX_LINKS = 40  # as the kernel's limit on links in one look-up
_MAX_BYTES = 16 << 30


class StageError(SampanError):
    """The tree cannot be as asked for."""


@dataclass(frozen=True, slots=True)
class Node:
    """A name of the tree. Regular files have their `entry.size` bytes at `offset` of the spool.

    Names that share a `serial` other than 0 are hard links to one another. `implied` is a
    directory that nobody added: it only leads to something.
    """

    entry: Entry
    offset: int = 0
    serial: int = 0
    implied: bool = False


class Stage:
    """A tree under construction; close it (or use it in a `with`) to free its spool file."""

    def __init__(self, folder: Path) -> None:
        """The spool is an unnamed file in `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        self._spool: IO[bytes] = tempfile.TemporaryFile(dir=folder, buffering=1 << 20)  # noqa: SIM115
        self._end = 0
        self._serial = 0
        self._nodes: dict[str, Node] = {}

    def __enter__(self) -> Self:
        """See `close`."""
        return self

    def __exit__(self, *_: object) -> None:
        """See `close`."""
        self.close()

    def close(self) -> None:
        """Free the spool; contents cannot be read any more."""
        self._spool.close()

    # --- looking

    def __contains__(self, name: str) -> bool:
        """Whether exactly that name is there."""
        return name in self._nodes

    def __iter__(self) -> Iterator[Node]:
        """Every node, parents before children, in the order of their names' bytes."""
        for name in sorted(self._nodes, key=lambda name: name.encode(errors="surrogateescape")):
            yield self._nodes[name]

    def find(self, name: str) -> Node | None:
        """The node that the path `name` leads to, links followed, or None."""
        for _ in range(_MAX_LINKS):
            node = self._nodes.get(self.resolve(name))
            if node is None or node.entry.kind is not Kind.SYMLINK:
                return node
            name = _joined(node.entry.name, node.entry.target)
        return None

    def resolve(self, name: str) -> str:
        """`name` with the links among its parent directories followed (not the last component).

        Raises:
            StageError: the links go round in circles.
        """
        pending = [part for part in name.split("/") if part not in ("", ".")]
        done: list[str] = []
        links = 0
        while pending:
            part = pending.pop(0)
            if part == "..":
                del done[-1:]
                continue
            done.append(part)
            node = self._nodes.get("/".join(done))
            if node is None or not pending or node.entry.kind is not Kind.SYMLINK:
                continue
            links += 1
            if links > _MAX_LINKS:
                raise StageError(f"/{name}: too many symbolic links")
            target = node.entry.target
            done = [] if target.startswith("/") else done[:-1]
            pending[:0] = [word for word in target.split("/") if word not in ("", ".")]
        return "/".join(done)

    def content(self, node: Node) -> Iterator[bytes]:
        """The bytes of a regular file, in pieces."""
        position, left = node.offset, node.entry.size
        while left:
            self._spool.seek(position)
            data = self._spool.read(min(_CHUNK, left))
            if not data:
                raise StageError(f"/{node.entry.name}: its content is gone from the spool")
            yield data
            position += len(data)
            left -= len(data)

    def read(self, node: Node) -> bytes:
        """All bytes of a regular file; for small ones."""
        return b"".join(self.content(node))

    # --- changing

    def add(self, entry: Entry, chunks: Iterable[bytes] = ()) -> Node:
        """Put a node in its place, with its parents; whatever was there gives way.

        A hard link's `target` must be there already.

        Raises:
            StageError: a parent is a file, a hard link points nowhere, or the tree is too big.
        """
        name = self.resolve(entry.name)
        entry = msgspec.structs.replace(entry, name=name)
        if entry.kind is Kind.HARDLINK:
            return self._add_hard_link(entry)
        old = self._nodes.get(name)
        if old and entry.kind is Kind.DIRECTORY and self._stays(old):
            return old
        offset = self._end
        if entry.kind is Kind.FILE:
            entry = msgspec.structs.replace(entry, size=self._append(name, chunks))
        return self._place(Node(entry, offset))

    def add_file(self, name: str, data: bytes, *, mode: int = 0o644) -> Node:
        """A small regular file of root's."""
        return self.add(Entry(name, Kind.FILE, mode), [data])

    def add_link(self, name: str, target: str) -> Node:
        """A symbolic link."""
        return self.add(Entry(name, Kind.SYMLINK, 0o777, target=target))

    def make_directory(self, name: str, *, mode: int = 0o755, uid: int = 0, gid: int = 0) -> Node:
        """A directory with that mode and owner, also if it was there with others."""
        resolved = self.resolve(name)
        node = self.add(Entry(resolved, Kind.DIRECTORY, mode, uid, gid))
        entry = msgspec.structs.replace(node.entry, mode=mode, uid=uid, gid=gid)
        if node.entry.kind is Kind.DIRECTORY and resolved:
            node = self._nodes[resolved] = replace(node, entry=entry, implied=False)
        return node

    def move(self, old: str, new: str) -> None:
        """Rename a node and all below it (names as they are stored)."""
        for name in self._below(old):
            node = self._nodes.pop(name)
            moved = msgspec.structs.replace(node.entry, name=new + name[len(old) :])
            self._place(replace(node, entry=moved))

    def remove(self, name: str) -> None:
        """Take a node and all below it away, if it is there."""
        for gone in self._below(name):
            del self._nodes[gone]

    def filter(self, keep: Callable[[str], bool]) -> None:
        """Keep the nodes whose names pass, and the directories that lead to them."""
        kept: set[str] = set()
        for name in self._nodes:
            if keep(name):
                while name and name not in kept:
                    kept.add(name)
                    name = name.rpartition("/")[0]  # noqa: PLW2901
        self._nodes = {name: node for name, node in self._nodes.items() if name in kept}

    def _append(self, name: str, chunks: Iterable[bytes]) -> int:
        size = 0
        for chunk in chunks:  # which may itself read from the spool
            self._spool.seek(self._end + size)
            self._spool.write(chunk)
            size += len(chunk)
            if self._end + size > _MAX_BYTES:
                raise StageError(f"/{name}: the package grows beyond {_MAX_BYTES >> 30} GiB")
        self._end += size
        return size

    def _add_hard_link(self, entry: Entry) -> Node:
        target = self.resolve(entry.target)
        node = self._nodes.get(target)
        if node is None or node.entry.kind is Kind.DIRECTORY:
            raise StageError(f"/{entry.name}: a hard link to /{target}, which is no file here")
        if not node.serial:
            self._serial += 1
            node = self._nodes[target] = replace(node, serial=self._serial)
        return self._place(
            replace(node, entry=msgspec.structs.replace(node.entry, name=entry.name))
        )

    def _place(self, node: Node) -> Node:
        name = node.entry.name
        if not name:
            return node  # the root itself is not stored
        parent = name.rpartition("/")[0]
        if parent and parent not in self._nodes:
            self._place(Node(Entry(parent, Kind.DIRECTORY, 0o755), implied=True))
        elif parent and self._nodes[parent].entry.kind is not Kind.DIRECTORY:
            raise StageError(f"/{name}: /{parent} is not a directory")
        old = self._nodes.get(name)
        gives_way = node.entry.kind is Kind.DIRECTORY or old is None
        if not gives_way and len(self._below(name)) > 1:
            raise StageError(f"/{name}: a directory with files stands where this should go")
        self._nodes[name] = node
        return node

    def _below(self, name: str) -> list[str]:
        prefix = f"{name}/"
        return [other for other in self._nodes if other == name or other.startswith(prefix)]

    def _stays(self, node: Node) -> bool:
        """Whether a directory that arrives where `node` stands leaves it as it is."""
        if node.entry.kind is Kind.SYMLINK:
            found = self.find(node.entry.name)
            return found is not None and found.entry.kind is Kind.DIRECTORY
        return node.entry.kind is Kind.DIRECTORY and not node.implied


def _joined(link: str, target: str) -> str:
    return target if target.startswith("/") else f"{link.rpartition('/')[0]}/{target}"
