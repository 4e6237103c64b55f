"""The files of its own that a package adds to its image.

Only what lies in the package's folder, or in what `extra-sources` names, can be added: a recipe
of somebody else's cannot pick files of the host.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from msgspec import UnsetType

from sampan.base.entry import Entry, Kind
from sampan.errors import SampanError
from sampan.package.recipe import Addition, Directory, Recipe

_CHUNK = 1 << 18
_IGNORED = frozenset({".git", "__pycache__", ".DS_Store"})


class AdditionError(SampanError):
    """A file that a recipe adds is missing, or is none of the package's."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A package's folder, and what is added to it: pairs of a place in it and where that is."""

    path: Path
    extra: tuple[tuple[str, Path], ...] = ()

    @classmethod
    def of(cls, path: Path, recipe: Recipe) -> Self:
        """The folder `path` of the package `recipe`."""
        folder = path.resolve()
        extra = ((e.destination, (folder / e.source).resolve()) for e in recipe.extra_sources)
        return cls(folder, tuple(extra))

    def locate(self, source: str) -> Path:
        """Where the file or folder that a recipe calls `source` is.

        Raises:
            AdditionError: it does not exist, or lies outside.
        """
        path = (self.path / source).resolve()
        for place, outside in self.extra:
            if source == place or source.startswith(f"{place}/"):
                path = (outside / source[len(place) :].strip("/")).resolve()
        if not any(path.is_relative_to(root) for root in (self.path, *(e[1] for e in self.extra))):
            raise AdditionError(
                f"{source} lies outside of the package {self.path}",
                hint="name it in extra-sources, as source:destination",
            )
        if not path.exists():
            raise AdditionError(f"{self.path / source}: no such file or folder")
        return path


def addition_entries(item: Addition, folder: Folder) -> Iterator[tuple[Entry, Iterator[bytes]]]:
    """What `item` adds: entries with their contents, of a folder all files in it.

    Raises:
        AdditionError: its source cannot be had.
    """
    name = item.path.strip("/")
    if not item.source:
        data = item.contents.encode()
        entry = Entry(name, Kind.FILE, bits(item, 0o644), item.uid, item.gid)
        yield entry, iter([data])
        return
    source = folder.locate(item.source)
    if source.is_file():
        yield _entry(item, source, name), _pieces(source)
        return
    for path in sorted(source.rglob("*")):
        inside = path.relative_to(source)
        if _IGNORED.isdisjoint(inside.parts) and (path.is_symlink() or path.is_file()):
            entry = _entry(item, path, f"{name}/{inside.as_posix()}")
            yield entry, _pieces(path) if entry.kind is Kind.FILE else iter(())


def bits(item: Addition | Directory, default: int) -> int:
    """The permission bits of `item`, `default` where it says none."""
    return default if isinstance(item.mode, UnsetType) else item.mode.bits


def _entry(item: Addition, path: Path, name: str) -> Entry:
    if path.is_symlink():
        target = str(path.readlink())
        return Entry(name, Kind.SYMLINK, 0o777, item.uid, item.gid, target=target)
    usual = 0o755 if path.stat().st_mode & 0o100 else 0o644
    return Entry(name, Kind.FILE, bits(item, usual), item.uid, item.gid)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while data := stream.read(_CHUNK):
            yield data
