"""What a tree step writes: the entries of its tree at their final names.

Pure. The names below are left out of every image (linuxkit.md 2.5): container engines put
them there, and the guest or the plan makes its own.
"""

from __future__ import annotations

from collections.abc import Mapping

from sampan.base.entry import Entry, Kind
from sampan.image.step import FileKey, Ingredient, Listing, TreeStep
from sampan.oci.tree import Node

LEFT_OUT = frozenset(
    {
        ".dockerenv", "Dockerfile", "dev/console", "dev/pts", "dev/shm", "etc/hostname",
        "etc/hosts", "etc/mtab", "etc/resolv.conf",
    }
)  # fmt: skip
SHARED_FROM = 4096
"""Smallest file, in bytes, that is worth storing once when it occurs twice."""


def nodes_of(ingredient: Ingredient) -> dict[str, Node]:
    """The nodes that go into an image, by name."""
    return {
        node.entry.name: node for node in ingredient.tree.nodes if node.entry.name not in LEFT_OUT
    }


def file_key(node: Node) -> FileKey:
    """What makes two files the same: content, owner, mode and time."""
    entry = node.entry
    return (node.digest, entry.mode, entry.uid, entry.gid, entry.mtime_ns // 1_000_000_000)


def list_step(step: TreeStep) -> Listing:
    """The entries that `step` writes, each name once, parents before children."""
    known = {node.entry.name: node for node in step.ingredient.tree.nodes}
    directories = list(step.before)
    files: list[tuple[Entry, Node]] = []
    rest: list[Entry] = []
    links: list[Node] = []
    for name, node in known.items():
        if name in LEFT_OUT or name in step.drop:
            continue
        kind = node.entry.kind
        if kind is Kind.HARDLINK:
            links.append(node)
        elif kind is Kind.DIRECTORY:
            directories.append(_placed(step.become.get(name, node.entry), name, step))
        elif kind is Kind.FILE:
            files.append((_placed(node.entry, name, step), node))
        else:
            rest.append(_placed(node.entry, name, step))
    rest += _hard_links(step, known, links, files)
    directories.sort(key=lambda entry: entry.name)
    files.sort(key=lambda file: (file[1].layer, file[1].offset))
    return Listing(tuple(directories), tuple(files), tuple(rest))


def placed_name(name: str, prefix: str, move: Mapping[str, str]) -> str:
    """Where a name of the tree ends up."""
    for source, target in move.items():
        if name.startswith(f"{source}/"):
            name = target + name[len(source) :]
            break
    if not prefix:
        return name
    return f"{prefix}/{name}" if name else prefix


def _placed(entry: Entry, name: str, step: TreeStep) -> Entry:
    return Entry(
        placed_name(name, step.prefix, step.move), entry.kind, entry.mode, entry.uid,
        entry.gid, entry.mtime_ns, entry.size, entry.target, entry.device, entry.xattrs,
        entry.uname, entry.gname,
    )  # fmt: skip


def _hard_links(
    step: TreeStep, known: Mapping[str, Node], links: list[Node], files: list[tuple[Entry, Node]]
) -> list[Entry]:
    """The links with their targets at final names; the first link stands in for a lost target."""
    out: list[Entry] = []
    standing: dict[str, str] = {}
    for link in links:
        entry = link.entry
        target = entry.target
        if target in step.drop or target in LEFT_OUT:
            if target not in standing:
                standing[target] = entry.name
                content = known[target]
                placed = _placed(content.entry, entry.name, step)
                if placed.kind is Kind.FILE:
                    files.append((placed, content))
                else:
                    out.append(placed)
                continue
            target = standing[target]
        placed = _placed(entry, entry.name, step)
        final = placed_name(target, step.prefix, step.move)
        out.append(
            Entry(
                placed.name, Kind.HARDLINK, entry.mode, entry.uid, entry.gid, entry.mtime_ns, 0,
                final, uname=entry.uname, gname=entry.gname,
            )
        )  # fmt: skip
    return out
