"""Deterministic archives of trees: what goes in decides every byte that comes out.

The order is that of the names, and all files have the one time that is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import IO

import msgspec

from sampan.base.entry import Entry, Kind
from sampan.oci import tar
from sampan.package.stage import Stage


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an archive; `content` is called when its bytes are due."""

    entry: Entry
    content: Callable[[], bytes] = bytes


def file(name: str, content: Callable[[], bytes], *, mode: int = 0o644) -> Member:
    """A regular file of root's, whose bytes are made when they are written."""
    return Member(Entry(name, Kind.FILE, mode), content)


def with_parents(members: Iterable[Member]) -> list[Member]:
    """`members` and the directories that lead to them, sorted by name."""
    by_name = {member.entry.name: member for member in members}
    for name in list(by_name):
        parent = name.rpartition("/")[0]
        while parent and parent not in by_name:
            by_name[parent] = Member(Entry(parent, Kind.DIRECTORY, 0o755))
            parent = parent.rpartition("/")[0]
    return [by_name[name] for name in sorted(by_name)]


def write_members(stream: IO[bytes], members: Iterable[Member], *, mtime_s: int = 0) -> None:
    """Write an archive of `members` in their order."""
    with tar.Writer(stream) as writer:
        for member in members:
            data = member.content() if member.entry.kind is Kind.FILE else b""
            entry = msgspec.structs.replace(member.entry, size=len(data), mtime_ns=mtime_s * 10**9)
            writer.add(entry, [data])


def write_stage(stream: IO[bytes], stage: Stage, *, mtime_s: int) -> None:
    """Write an archive of a whole tree; the first name of a hard-linked file has its content."""
    first: dict[int, str] = {}
    with tar.Writer(stream) as writer:
        for node in stage:
            entry = msgspec.structs.replace(node.entry, mtime_ns=mtime_s * 10**9)
            if node.serial in first:
                target = first[node.serial]
                link = msgspec.structs.replace(entry, kind=Kind.HARDLINK, size=0, target=target)
                writer.add(link)
                continue
            if node.serial:
                first[node.serial] = entry.name
            writer.add(entry, stage.content(node) if entry.kind is Kind.FILE else ())
