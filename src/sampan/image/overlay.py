"""Several trees in one folder: who has which name (the kernel's modules and the init images).

Pure. Later trees win, as when they are unpacked one after another, but every name is written
once: where a tree has a symbolic link to a folder and another tree has a folder of that name
(`/lib` → `/usr/lib`), the link stays and the folder's content goes to where it leads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sampan.base.entry import Entry, Kind
from sampan.image.listing import nodes_of, placed_name
from sampan.image.step import FIXED_MTIME_S, Ingredient
from sampan.oci.tree import Node

_MAX_LINKS = 40  # what Linux follows in one path


class Draft:
    """A tree step while the plan is made; see `TreeStep` for the fields."""

    def __init__(self, name: str, ingredient: Ingredient, prefix: str) -> None:
        self.name = name
        self.ingredient = ingredient
        self.prefix = prefix
        self.nodes: dict[str, Node] = nodes_of(ingredient)
        self.drop: set[str] = set()
        self.become: dict[str, Entry] = {}
        self.move: dict[str, str] = {}
        self.before: dict[str, Entry] = {}
        self.finals: Mapping[str, str] = {}
        self.settle({})

    def settle(self, move: Mapping[str, str]) -> None:
        """Fix where the names go; `finals` maps them back to the names of the tree."""
        self.move = {
            name: target
            for name, target in move.items()
            if name in self.nodes and self.nodes[name].entry.kind is Kind.DIRECTORY
        }
        self.drop |= self.move.keys()
        kept = (name for name in self.nodes if name not in self.move)
        if self.move:
            self.finals = {placed_name(name, "", self.move): name for name in kept}
        else:
            self.finals = {name: name for name in kept}

    def find(self, path: str) -> str | None:
        """The tree's name of what ends up at `path` (without prefix), unless it is left out."""
        name = self.finals.get(path)
        return None if name in self.drop else name


def follow(path: str, links: Mapping[str, str], *, last: bool) -> str | None:
    """`path` with the symbolic links in it followed; the last component only if `last`.

    None when they go round in a circle.
    """
    todo = path.split("/")[::-1]
    done: list[str] = []
    budget = _MAX_LINKS
    while todo:
        part = todo.pop()
        if part in ("", "."):
            continue
        if part == "..":
            del done[-1:]
            continue
        target = links.get("/".join([*done, part]))
        if target is None or not (todo or last):
            done.append(part)
            continue
        budget -= 1
        if budget < 0:
            return None
        if target.startswith("/"):
            done = []
        todo += target.split("/")[::-1]
    return "/".join(done)


def links_of(drafts: Sequence[Draft]) -> dict[str, str]:
    """All symbolic links of the trees by name; of equal names the last one's."""
    return {
        name: node.entry.target
        for draft in drafts
        for name, node in draft.nodes.items()
        if node.entry.kind is Kind.SYMLINK
    }


def overlay(drafts: Sequence[Draft]) -> None:
    """Settle which of `drafts`, all with the same prefix, writes which name, and how."""
    move = _moves(drafts)
    for draft in drafts:
        draft.settle(move)
        for name in move:
            if draft.nodes.get(name) and draft.nodes[name].entry.kind is not Kind.SYMLINK:
                draft.drop.add(name)
    owners: dict[str, int] = {}
    repeated: set[str] = set()
    for number, draft in enumerate(drafts):
        repeated |= draft.finals.keys() & owners.keys()
        owners.update(dict.fromkeys(draft.finals, number))
    for path in sorted(repeated):
        _settle_repeated(path, drafts)
    _lead_the_way(drafts)


def _moves(drafts: Sequence[Draft]) -> dict[str, str]:
    links = links_of(drafts)
    folders = {
        name
        for draft in drafts
        for name, node in draft.nodes.items()
        if node.entry.kind is Kind.DIRECTORY
    }
    moves: dict[str, str] = {}
    for name in sorted(links.keys() & folders):
        target = follow(name, links, last=True)
        if target and target != name and not target.startswith(f"{name}/"):
            moves[name] = target
    return moves


def _settle_repeated(path: str, drafts: Sequence[Draft]) -> None:
    """Leave one writer of `path`: the last for files, the first for directories."""
    found = [(draft, name) for draft in drafts if (name := draft.find(path)) is not None]
    if len(found) < 2:
        return
    last, name = found[-1]
    final = last.nodes[name].entry
    if final.kind is not Kind.DIRECTORY:
        for draft, other in found[:-1]:
            draft.drop.add(other)
            if draft.nodes[other].entry.kind is Kind.DIRECTORY:
                draft.drop.update(one for one in draft.nodes if one.startswith(f"{other}/"))
        return
    folders = [one for one in found if one[0].nodes[one[1]].entry.kind is Kind.DIRECTORY]
    for draft, other in found:
        if (draft, other) != folders[0]:
            draft.drop.add(other)
    first, other = folders[0]
    if first is not last:
        first.become[other] = final


def _lead_the_way(drafts: Sequence[Draft]) -> None:
    """Write the folders that moved content goes into before it."""
    for number, draft in enumerate(drafts):
        for target in draft.move.values():
            parts = target.split("/")
            for depth in range(1, len(parts) + 1):
                _write_early("/".join(parts[:depth]), drafts, number)


def _write_early(path: str, drafts: Sequence[Draft], number: int) -> None:
    for draft in drafts[: number + 1]:
        if draft.find(path) is not None or path in draft.before:
            return
    entry = Entry(path, Kind.DIRECTORY, 0o755, mtime_ns=FIXED_MTIME_S * 1_000_000_000)
    for draft in drafts[number + 1 :]:
        name = draft.find(path)
        if name is not None:
            found = draft.become.get(name, draft.nodes[name].entry)
            if found.kind is not Kind.DIRECTORY:
                return
            entry = Entry(
                path, found.kind, found.mode, found.uid, found.gid, found.mtime_ns, 0, "", (0, 0),
                found.xattrs, found.uname, found.gname,
            )  # fmt: skip
            draft.drop.add(name)
            break
    drafts[number].before[path] = entry
