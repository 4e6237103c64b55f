"""The image while it is planned: trees at their places, and what is made on top of them.

Pure, and mutable only while a plan is made. Whoever puts an entry where a tree already has one
takes the name over; a directory that is there stays, with the new owner, mode and time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from sampan.base.entry import NAME_MAX, Entry, Kind
from sampan.errors import SampanError
from sampan.image.overlay import Draft, follow, links_of, overlay
from sampan.image.step import FIXED_MTIME_S, Content, Made

_HOSTS = b"""127.0.0.1       localhost
::1     localhost ip6-localhost ip6-loopback
fe00::0 ip6-localnet
ff00::0 ip6-mcastprefix
ff02::1 ip6-allnodes
ff02::2 ip6-allrouters
"""
_NO_RESOLVER = b"\n# no resolv.conf configured\n"
_RESOLVER = "/run/resolvconf/resolv.conf"
_SHOWN = 80  # characters of a name in an error
_ALWAYS_THERE = ("dev", "dev/pts", "dev/shm", "etc", "proc", "sys")


class Scene:
    """The trees below `/` (`root`), those elsewhere by their prefix, and the made entries."""

    def __init__(self, *, mtime_s: int = FIXED_MTIME_S) -> None:
        self.root: list[Draft] = []
        self.placed: dict[str, Draft] = {}
        self.frame: dict[str, Made] = {}
        self.made: dict[str, Made] = {}
        self._mtime_ns = mtime_s * 1_000_000_000
        self._links: dict[str, str] = {}

    def settle_root(self) -> None:
        """Say that all trees of the root are there."""
        overlay(self.root)
        self._links = links_of(self.root)

    def entry(self, name: str, kind: Kind, mode: int, target: str = "", size: int = 0) -> Entry:
        """An entry of root's, with the time that all made entries have."""
        return Entry(name, kind, mode, mtime_ns=self._mtime_ns, size=size, target=target)

    def folder(self, path: str) -> None:
        """A folder of the frame, which is written before the trees."""
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            name = "/".join(parts[:depth])
            if name not in self.frame:
                for draft, own in self._holders(name):
                    draft.drop.add(own)
                self.frame[name] = Made(self.entry(name, Kind.DIRECTORY, 0o755))

    def tree(self, draft: Draft) -> None:
        """Put a tree at a place of its own. Its folder takes the root entry's attributes."""
        self.folder(draft.prefix)
        self.placed[draft.prefix] = draft
        if "" in draft.nodes:
            del self.frame[draft.prefix]

    def file(self, name: str, content: bytes, mode: int = 0o644) -> None:
        """Put a file of root's."""
        self.put(self.entry(name, Kind.FILE, mode, size=len(content)), content)

    def symlink(self, name: str, target: str, mode: int) -> None:
        """Put a symbolic link of root's."""
        self.put(self.entry(name, Kind.SYMLINK, mode, target))

    def put(self, entry: Entry, content: Content = b"") -> None:
        """Put an entry; who else has the name loses it.

        Raises:
            SampanError: a tree has a folder there, and the entry is none; or the name is too
                long for a filesystem.
        """
        name = entry.name
        _check_length(name)
        for draft, own in self._holders(name):
            there = draft.nodes[own].entry.kind
            if there is Kind.DIRECTORY and entry.kind is Kind.DIRECTORY:
                draft.become[own] = entry
                return
            if there is Kind.DIRECTORY:
                raise SampanError(f"{name} is a folder in {draft.ingredient.name}")
            draft.drop.add(own)
        if entry.kind is Kind.DIRECTORY:
            if name in self.frame:
                self.frame[name] = Made(entry)
                return
            for draft in self.root:
                if name in draft.before:
                    draft.before[name] = entry
                    return
        self.made[name] = Made(entry, content)

    def has(self, name: str) -> bool:
        """Whether something is at `name` so far."""
        if name in self.made or name in self.frame:
            return True
        if any(name in draft.before for draft in self.root):
            return True
        return next(self._holders(name), None) is not None

    def resolve(self, name: str) -> str:
        """`name` with the symbolic links of the root followed, but for the last component."""
        return follow(name, self._links, last=False) or name

    def touch_up(self, prefix: str, *, resolver: bool) -> None:
        """Add what every image gets (linuxkit.md 2.5); folders that are there stay as they are.

        `resolver`: whether resolv.conf leads to that of the running system, else it is empty.
        """
        base = f"{prefix}/" if prefix else ""
        for name in _ALWAYS_THERE:
            if not self.has(base + name):
                self.put(self.entry(base + name, Kind.DIRECTORY, 0o755))
        self.file(f"{base}etc/hosts", _HOSTS)
        self.symlink(f"{base}etc/mtab", "/proc/mounts", 0o755)
        if resolver:
            self.symlink(f"{base}etc/resolv.conf", _RESOLVER, 0o644)
        else:
            self.file(f"{base}etc/resolv.conf", _NO_RESOLVER)

    def _holders(self, name: str) -> Iterator[tuple[Draft, str]]:
        """The trees that write `name`, with their own name of it."""
        for draft in self.root:
            own = draft.find(name)
            if own is not None:
                yield draft, own
        if not name.startswith("containers/"):
            return
        parts = name.split("/")
        for depth in range(3, len(parts) + 1):
            draft_there = self.placed.get("/".join(parts[:depth]))
            if draft_there is not None:
                own = draft_there.find("/".join(parts[depth:]))
                if own is not None:
                    yield draft_there, own


def _check_length(name: str) -> None:
    longest = max(name.split("/"), key=len)
    length = len(os.fsencode(longest))
    if length > NAME_MAX:
        raise SampanError(
            f"{longest[:_SHOWN]!r}... has {length} bytes, and filesystems take {NAME_MAX}"
        )
