"""Layers applied one upon another give one tree. Pure: indexes in, nodes out.

Does what container runtimes do to a disk, on values: markers (`.wh.…`) remove what is below,
an opaque marker everything in its folder; a folder that is a symbolic link in a lower layer
is followed, never out of the tree; a hard link joins two names to one content, in whatever
layer that is. (OCI image specification, "Layer Filesystem Changeset".)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import msgspec

from sampan.base.entry import Entry, Kind
from sampan.errors import SampanError
from sampan.oci.layer import LayerEntry, LayerIndex
from sampan.oci.limit import DEFAULT_LIMITS, LimitError, Limits

_MARKER = ".wh."
_OPAQUE = ".wh..wh..opq"
_AUFS = ".wh..wh."  # bookkeeping of a filesystem of the past, in the layers it made
_MAX_LINKS = 40  # as Linux: symbolic links in one path
_MAX_LINK_STEPS = 20_000_000  # all folders passed by following links: seconds, not hours
_IMPLIED_MODE = 0o755


class InvalidLayerError(SampanError):
    """A layer asks for something that no tree can be, such as a file inside a file."""

    def __init__(self, layer: int, why: str) -> None:
        super().__init__(
            f"layer {layer + 1} (of diff ids, counted from the lowest): {why}",
            hint="the image is damaged, or made by a tool with a fault",
        )


class Node(msgspec.Struct, frozen=True, gc=False):
    """An entry of the tree, and where its content is.

    `layer` counts from 0, the lowest; `offset` is where the content begins in that layer's
    uncompressed archive; `digest` is the content's sha256 (empty for what is no file).
    """

    entry: Entry
    layer: int
    offset: int = 0
    digest: bytes = b""


@dataclass(frozen=True)
class Tree:
    """What is in an image: parents before children, a link's target before the link."""

    nodes: tuple[Node, ...]

    @cached_property
    def by_name(self) -> dict[str, Node]:
        """The nodes by their names."""
        return {node.entry.name: node for node in self.nodes}


def flatten(indexes: Sequence[LayerIndex], *, limits: Limits = DEFAULT_LIMITS) -> Tree:
    """The tree that the layers make, lowest first.

    A hard link whose target is hidden or replaced becomes a file (or whatever its target was);
    of several such links the first does, and the others are links to it. Folders that no layer
    mentions, but that something lies in, are made with mode 0755.

    Raises:
        InvalidLayerError: a layer cannot be applied.
        LimitError: the tree has more than `limits.entries` nodes.
    """
    builder = _Builder(limits)
    for number, index in enumerate(indexes):
        builder.apply(number, index)
    return Tree(tuple(builder.nodes()))


@dataclass(slots=True)
class _Inode:
    """A content with its metadata: what hard links have in common."""

    found: LayerEntry
    layer: int
    first_name: str | None = None  # the name that stands for it in the output


@dataclass(slots=True, eq=False)
class _Slot:
    """A name in a folder."""

    name: str
    parent: _Slot | None
    sequence: int  # what was made later has the greater one
    entry: Entry
    layer: int
    inode: _Inode | None = None  # None for folders
    children: dict[str, _Slot] = field(default_factory=dict)


class _Builder:
    """The tree while it grows."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._sequence = 0
        self._link_steps = 0
        self._layer = 0
        self._root = _Slot("", None, 0, Entry("", Kind.DIRECTORY, _IMPLIED_MODE), 0)
        self._root_given = False
        # entries come folder by folder: the last folder is usually the next one
        self._last: tuple[str, _Slot] = ("", self._root)

    def apply(self, number: int, index: LayerIndex) -> None:
        """Apply one layer: first all its markers, which concern only what is below it."""
        self._layer = number
        additions = []
        for found in index.entries:
            name = found.entry.name
            if _MARKER not in name or not self._mark(name):
                additions.append(found)
        for found in additions:
            self._add(found)

    def nodes(self) -> Iterator[Node]:
        """The finished tree in its order."""
        slots = sorted(_walk(self._root), key=lambda pair: pair[0].sequence)
        for slot, name in slots:
            if slot is not self._root or self._root_given:
                yield _node(slot, name)

    def _mark(self, name: str) -> bool:
        """Obey `name` if it is a marker; False if it is none after all."""
        folder, _, base = name.rpartition("/")
        if any(part.startswith(_MARKER) for part in folder.split("/")):
            return True  # inside the bookkeeping of aufs: no part of the tree
        if not base.startswith(_MARKER):
            return False
        slot = self._find(folder.split("/")) if folder else self._root
        hidden = base.removeprefix(_MARKER)
        if hidden in ("", ".", ".."):
            raise InvalidLayerError(self._layer, f"{name!r} removes nothing that can be named")
        if slot is not None and slot.inode is None:
            self._last = ("", self._root)
            if base == _OPAQUE:
                slot.children.clear()
            elif not base.startswith(_AUFS):
                slot.children.pop(hidden, None)
        return True

    def _add(self, found: LayerEntry) -> None:
        entry = found.entry
        if not entry.name:
            self._root.entry, self._root.layer = entry, self._layer
            self._root_given = True
            return
        folder_name, _, base = entry.name.rpartition("/")
        folder = self._folder(folder_name)
        old = folder.children.get(base)
        if entry.kind is Kind.DIRECTORY:
            if old is not None and old.inode is None:
                old.entry, old.layer = entry, self._layer
                return
            inode = None
        elif entry.kind is Kind.HARDLINK:
            inode = self._linked(entry)
            if old is not None and old.inode is inode:
                return
        else:
            inode = _Inode(found, self._layer)
        if old is not None:
            del folder.children[base]
            self._last = ("", self._root)
        self._make(folder, base, entry, inode)

    def _linked(self, entry: Entry) -> _Inode:
        target = self._find_name(entry.target)
        if target is None:
            raise InvalidLayerError(
                self._layer,
                f"the hard link {entry.name!r} points to {entry.target!r}, which is not there",
            )
        if target.inode is None:
            raise InvalidLayerError(
                self._layer, f"the hard link {entry.name!r} points to {entry.target!r}, a folder"
            )
        return target.inode

    def _make(self, folder: _Slot, base: str, entry: Entry, inode: _Inode | None) -> _Slot:
        self._sequence += 1
        if self._sequence > self._limits.entries:
            self._limits.check_entries(self._sequence, f"the tree of layer {self._layer + 1}")
        slot = _Slot(base, folder, self._sequence, entry, self._layer, inode)
        folder.children[base] = slot
        return slot

    def _folder(self, name: str) -> _Slot:
        """The folder called `name`, made if it is missing."""
        last_name, last = self._last
        if name == last_name:
            return last
        slot = self._walk(name.split("/"), make=True) if name else self._root
        if slot is None or slot.inode is not None:
            raise InvalidLayerError(self._layer, f"{name!r} is no folder, but something lies in it")
        self._last = (name, slot)
        return slot

    def _find_name(self, name: str) -> _Slot | None:
        """What `name` names; a symbolic link at its end is not followed."""
        folder_name, _, base = name.rpartition("/")
        folder = self._find(folder_name.split("/")) if folder_name else self._root
        return None if folder is None else folder.children.get(base) if base else folder

    def _find(self, parts: list[str]) -> _Slot | None:
        return self._walk(parts, make=False)

    def _walk(self, parts: list[str], *, make: bool) -> _Slot | None:
        """Follow `parts` from the root through links; `..` never leads above the root."""
        slot, links = self._root, 0
        pending = parts[::-1]
        while pending:
            part = pending.pop()
            if part == "..":
                slot = slot.parent or slot
            if part in ("", ".", ".."):
                continue
            child = slot.children.get(part)
            if child is None:
                if not make or slot.inode is not None:
                    return None
                child = self._make(slot, part, Entry(part, Kind.DIRECTORY, _IMPLIED_MODE), None)
            if child.inode is not None and child.inode.found.entry.kind is Kind.SYMLINK:
                links += 1
                target = child.inode.found.entry.target
                pending += self._steps(target, links)
                slot = self._root if target.startswith("/") else slot
                continue
            slot = child
        return slot

    def _steps(self, target: str, links: int) -> list[str]:
        parts = target.split("/")[::-1]
        self._link_steps += len(parts)
        if self._link_steps > _MAX_LINK_STEPS:
            raise LimitError(
                f"layer {self._layer + 1}", "too many symbolic links have to be followed"
            )
        if links > _MAX_LINKS:
            raise InvalidLayerError(self._layer, f"symbolic links lead in a circle (to {target!r})")
        return parts


def _walk(root: _Slot) -> Iterator[tuple[_Slot, str]]:
    pending = [(root, "")]
    while pending:
        slot, name = pending.pop()
        yield slot, name
        pending.extend(
            (child, f"{name}/{child.name}" if name else child.name)
            for child in slot.children.values()
        )


def _node(slot: _Slot, name: str) -> Node:
    inode, entry = slot.inode, slot.entry
    if inode is None:
        return Node(_named(entry, name), slot.layer)
    if inode.first_name is None:
        inode.first_name = name
        found = inode.found
        return Node(_named(found.entry, name), inode.layer, found.offset, found.digest)
    return Node(
        msgspec.structs.replace(entry, name=name, kind=Kind.HARDLINK, target=inode.first_name),
        slot.layer,
    )


def _named(entry: Entry, name: str) -> Entry:
    return entry if entry.name == name else msgspec.structs.replace(entry, name=name)
