"""Steps → pieces of an initrd: the cpio records of one step, in the order they are written.

Pure. Files that the plan found more than once are stored at their first name; the others are
hard links to it, in whatever piece they are: the kernel joins names that have the same inode
until the archive ends, and the inode's number is made of content and metadata. Every hard link
of an image stays one (LinuxKit makes symbolic links of them). `/boot` stays empty: kernel and
command line are files of their own beside the initrd.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TypeAlias

import msgspec

from sampan.base.entry import Entry, Kind
from sampan.formats import cpio
from sampan.formats.cpio import Inode
from sampan.image.listing import SHARED_FROM, file_key, list_step
from sampan.image.step import Content, FileKey, MadeStep, Step, TreeStep
from sampan.oci.tree import Node

REVISION = "cpio 1"  # counts up when the same step would give other bytes
_NOT_INSIDE = "boot/"

Source: TypeAlias = Node | Content | None


class Record(msgspec.Struct, frozen=True):
    """A header, and `size` bytes of content from `source`, padded."""

    head: bytes
    size: int = 0
    source: Source = None


def records_of(step: Step) -> list[Record]:
    """The records of a step; none when all of it stays outside of an initrd."""
    if isinstance(step, MadeStep):
        return _made_records(step)
    return _Unpacking(step).records()


def length_of(records: Iterable[Record]) -> int:
    """How many bytes of archive the records are."""
    return sum(len(one.head) + one.size + -one.size % 4 for one in records)


def _made_records(step: MadeStep) -> list[Record]:
    inside = [made for made in step.entries if not made.entry.name.startswith(_NOT_INSIDE)]
    return [
        Record(cpio.header(made.entry, _single(number, made.entry)), made.entry.size, made.content)
        for number, made in enumerate(inside, 1)
    ]


def _single(number: int, entry: Entry) -> Inode:
    return Inode(number, links=2 if entry.kind is Kind.DIRECTORY else 1)


class _Unpacking:
    """The records of one tree, numbered from 1."""

    def __init__(self, step: TreeStep) -> None:
        self._step = step
        self._listing = list_step(step)
        self._stored = set(step.stored)
        self._number = 0
        self._files: dict[str, tuple[Entry, Inode]] = {}
        self._linked = {entry.target for entry in self._listing.rest if entry.kind is Kind.HARDLINK}

    def records(self) -> list[Record]:
        listing = self._listing
        found = [self._plain(entry) for entry in _inside(listing.directories)]
        found += [
            self._file(entry, node)
            for entry, node in listing.files
            if not entry.name.startswith(_NOT_INSIDE)
        ]
        found += [
            self._hard_link(entry) if entry.kind is Kind.HARDLINK else self._plain(entry)
            for entry in _inside(listing.rest)
        ]
        return found

    def _plain(self, entry: Entry) -> Record:
        self._number += 1
        inode = _single(self._number, entry)
        if entry.name in self._linked:
            inode = _inode("name", entry.name)
            self._files[entry.name] = (entry, inode)
        return Record(cpio.header(entry, inode))

    def _file(self, entry: Entry, node: Node) -> Record:
        size = entry.size
        key = file_key(node) if size >= SHARED_FROM else None
        if key in self._step.shared:
            assert key is not None
            return self._shared(entry, node, key)
        self._number += 1
        inode = Inode(self._number)
        if entry.name in self._linked:
            inode = _inode("name", entry.name)
            self._files[entry.name] = (entry, inode)
        return Record(cpio.header(entry, inode, size), size, node if size else None)

    def _shared(self, entry: Entry, node: Node, key: FileKey) -> Record:
        inode = _inode("content", key)
        self._files[entry.name] = (entry, inode)
        if key in self._stored:
            return Record(cpio.header(entry, inode, 0))
        self._stored.add(key)
        return Record(cpio.header(entry, inode, entry.size), entry.size, node)

    def _hard_link(self, entry: Entry) -> Record:
        # the kernel sets owner and mode again at each name: they are the target's
        target, inode = self._files[entry.target]
        link = Entry(
            entry.name, target.kind, target.mode, target.uid, target.gid, target.mtime_ns, 0, "",
            target.device,
        )  # fmt: skip
        return Record(cpio.header(link, inode, 0))


def _inside(entries: Iterable[Entry]) -> list[Entry]:
    return [entry for entry in entries if not entry.name.startswith(_NOT_INSIDE)]


def _inode(kind: str, facts: object) -> Inode:
    """An inode that two names have if, and only if, `facts` are the same: 96 bits of a hash."""
    digest = hashlib.sha256(msgspec.msgpack.encode((kind, facts))).digest()
    number, major, minor = (int.from_bytes(digest[at : at + 4]) for at in (0, 4, 8))
    return Inode(number, (major, minor), links=2)
