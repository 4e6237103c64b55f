"""The values a plan is made of: where content comes from, entries, steps, the plan itself.

Pure. A step is the unit of work and of caching: `id` is the hash of everything that determines
its bytes, so a step whose output is in the cache is not done again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import msgspec

from sampan.base.entry import Entry
from sampan.oci.model import ContainerConfig
from sampan.oci.tree import Node, Tree
from sampan.spec.model import ContainerDefaults

FIXED_MTIME_S = 1_492_533_000
"""The time of all that Sampan (and LinuxKit) makes itself: 2017-04-18T16:30:00Z."""

FileKey: TypeAlias = tuple[bytes, int, int, int, int]
"""A regular file without its name: sha256, mode, uid, gid, mtime in seconds."""


class HostFile(msgspec.Struct, frozen=True):
    """Content that lies in a file of the host: its sha256 says what it must be."""

    path: Path
    size: int
    digest: bytes


Content: TypeAlias = bytes | HostFile


class Made(msgspec.Struct, frozen=True):
    """An entry that comes from no image, with its content (empty for all but files)."""

    entry: Entry
    content: Content = b""


class Ingredient(msgspec.Struct, frozen=True):
    """A file tree, as an image (or an archive in one) brings it, with how it wants to be run.

    `name` is the canonical reference, or what it is part of; `identity` is what determines the
    tree. Two ingredients with the same identity have the same tree.
    """

    name: str
    identity: str
    tree: Tree
    config: ContainerConfig = ContainerConfig()
    label: ContainerDefaults = ContainerDefaults()


class MadeStep(msgspec.Struct, frozen=True):
    """Entries that come from no image, parents first."""

    name: str
    entries: tuple[Made, ...]
    id: str


class TreeStep(msgspec.Struct, frozen=True, kw_only=True):
    """The tree of an ingredient, unpacked below `prefix`, with what other steps change of it.

    Names in the mappings are those of the tree, without prefix. `drop`: left out, because a
    later step has the name. `become`: directories with the owner, mode and time that a later
    step gives them. `move`: folders whose content goes elsewhere, because the name is a
    symbolic link to there. `before`: directories written first. `shared`: files that occur
    more than once in the image; those in `stored` are in an earlier step already.
    """

    name: str
    ingredient: Ingredient
    prefix: str
    drop: frozenset[str] = frozenset()
    become: Mapping[str, Entry] = {}
    move: Mapping[str, str] = {}
    before: tuple[Entry, ...] = ()
    shared: frozenset[FileKey] = frozenset()
    stored: frozenset[FileKey] = frozenset()
    id: str = ""


Step: TypeAlias = MadeStep | TreeStep


class KernelFiles(msgspec.Struct, frozen=True):
    """What is taken from the kernel's image: the kernel, its modules, the CPU microcode."""

    binary: HostFile
    mode: int
    modules: Ingredient | None = None
    ucode: HostFile | None = None


class Supplies(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a specification names, found and looked into.

    `images` by the name the specification uses; `volumes` those of format `oci` by volume, as
    the files of an image layout; `sources` by index of `files` (missing optional ones are not
    there); `installed` are the package lists (apk) of the init images that have one.
    """

    kernel: KernelFiles | None = None
    images: Mapping[str, Ingredient] = {}
    volumes: Mapping[str, tuple[Made, ...]] = {}
    sources: Mapping[int, HostFile] = {}
    installed: tuple[bytes, ...] = ()
    sbom: bytes | None = None


class Plan(msgspec.Struct, frozen=True):
    """All that is to be built, in the order it is written. Each name occurs once."""

    steps: tuple[Step, ...]
    kernel: KernelFiles | None = None
    cmdline: str = ""


class Listing(msgspec.Struct, frozen=True):
    """The entries of one tree step as they are written: directories, files, the rest.

    Files are in the order in which their contents can be read; hard links come last.
    """

    directories: tuple[Entry, ...]
    files: tuple[tuple[Entry, Node], ...]
    rest: tuple[Entry, ...]
