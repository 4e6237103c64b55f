"""Composes a root file system out of Debian packages and a recipe's own additions.

From a recipe's `debian:` section to a finished `Stage`; nothing of the packages is executed.
Writing the result as an image is the work of `sampan.package.artifact`.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sampan.base.progress import SILENT, Progress, task
from sampan.oci.model import Platform
from sampan.package import account, bytecode, kernel, mirror, selection
from sampan.package.addition import Folder, addition_entries, bits
from sampan.package.apt import LISTS_MAX_AGE_S, AptRoot, Download, Package
from sampan.package.deb import Deb
from sampan.package.recipe import Debian, Kernel, Recipe
from sampan.package.stage import Stage

_MERGED = ("bin", "sbin", "lib")
_LOADER_PREFIXES = ("ld-linux", "ld64", "ld-musl")


@dataclass(frozen=True, slots=True)
class Options:
    """How packages are had.

    `mirror` and `security_mirror` are addresses of archives (`""`: the host's). `offline` uses
    only what is cached; `refresh` fetches package lists however young they are. `epoch_s` is
    the time that every file gets, in seconds since 1970 (None: that of the newest package).
    """

    mirror: str = ""
    security_mirror: str = ""
    offline: bool = False
    refresh: bool = False
    epoch_s: int | None = None


@dataclass(frozen=True, slots=True)
class Installed:
    """A Debian package that went into an image, as the SBOM names it."""

    name: str
    version: str
    architecture: str
    source: str
    supplier: str
    homepage: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Composition:
    """A finished tree, what it was made of, and the time its files carry (seconds since 1970)."""

    stage: Stage
    installed: tuple[Installed, ...]
    epoch_s: int


def compose(
    recipe: Recipe,
    debian: Debian,
    folder: Path,
    architecture: str,
    apt_folder: Path,
    *,
    stage: Stage,
    options: Options | None = None,
    progress: Progress = SILENT,
) -> Composition:
    """Put the tree that `debian` describes into the empty `stage`.

    Args:
        recipe: the whole document.
        debian: its section of that name.
        folder: where the recipe's own files are.
        architecture: Debian's name for it (`amd64`).
        apt_folder: the lists and `.deb` files that builds share.
        stage: the empty tree to fill.
        options: see `Options`.
        progress: who is told.

    Raises:
        AptError: packages cannot be had.
        NoSpaceError: there is no room for them.
        ComposeError: a file of the recipe is missing.
        StageError: two things want one place.
    """
    options = options or Options()
    debs = _fetch(debian, architecture, apt_folder, options, progress)
    if debian.merged_usr:
        _merge_usr(stage, architecture)
    installed, newest_s = _unpack(stage, debs, apt_folder / "archives", progress)
    _select(stage, debian)
    if not debian.merged_usr:
        _link_loader(stage)
    if isinstance(debian.kernel, Kernel):
        kernel.arrange(stage, debian.kernel, architecture)
    _add_own(stage, debian, Folder.of(folder, recipe))
    if debian.python:
        _compile(stage, architecture, progress)
    epoch_s = newest_s if options.epoch_s is None else options.epoch_s
    return Composition(stage, installed, epoch_s)


def wanted(packages: Sequence[Package], debian: Debian) -> tuple[Package, ...]:
    """What of a solved set is taken: `only` and `without` are patterns of package names."""
    return tuple(
        package
        for package in packages
        if (not debian.only or _matches(package.name, debian.only))
        and not _matches(package.name, debian.without)
    )


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _fetch(
    debian: Debian, architecture: str, folder: Path, options: Options, progress: Progress
) -> tuple[Download, ...]:
    names = debian.packages_for(architecture)
    if not names:
        return ()
    chosen = mirror.choose(
        mirror.host_archives(), mirror=options.mirror, security=options.security_mirror
    )
    root = AptRoot(
        folder,
        suite=debian.suite,
        architecture=architecture,
        sources=mirror.source_list(chosen, debian.suite),
    )
    max_age_s = 0.0 if options.refresh else LISTS_MAX_AGE_S
    root.refresh(max_age_s=max_age_s, offline=options.offline, progress=progress)
    solved = root.solve(names, depends=debian.depends, progress=progress)
    return root.fetch(wanted(solved, debian), progress=progress)


def _merge_usr(stage: Stage, architecture: str) -> None:
    folders = [*_MERGED, "lib64"] if architecture in ("amd64", "ppc64el") else _MERGED
    for name in folders:
        stage.make_directory(f"usr/{name}")
        stage.add_link(name, f"usr/{name}")


def _link_loader(stage: Stage) -> None:
    """Put the dynamic loader where programs ask for it, when packages have it below /usr."""
    loaders = [
        node.entry.name
        for node in stage
        if node.entry.name.rpartition("/")[0] in ("usr/lib", "usr/lib64")
        and node.entry.name.rpartition("/")[2].startswith(_LOADER_PREFIXES)
    ]
    for name in loaders:
        asked_for = name.removeprefix("usr/")
        if asked_for not in stage:
            stage.add_link(asked_for, f"../{name}")


def _unpack(
    stage: Stage, debs: Sequence[Download], archives: Path, progress: Progress
) -> tuple[tuple[Installed, ...], int]:
    installed: list[Installed] = []
    newest_s = 0
    with task(progress, "unpack", sum(item.size for item in debs)) as bar:
        for item in debs:
            deb = Deb(archives / item.file)
            newest_s = max(newest_s, deb.date_s)
            installed.append(_installed(deb, item))
            for entry, chunks in deb.files():
                stage.add(entry, chunks)
            bar.advance(item.size)
    return tuple(installed), newest_s


def _installed(deb: Deb, item: Download) -> Installed:
    fields = deb.control()
    name = fields.get("Package", "")
    return Installed(
        name=name,
        version=fields.get("Version", ""),
        architecture=fields.get("Architecture", ""),
        source=fields.get("Source", name).partition(" ")[0],
        supplier=fields.get("Maintainer", ""),
        homepage=fields.get("Homepage", ""),
        sha256=item.sha256,
    )


def _select(stage: Stage, debian: Debian) -> None:
    chosen = selection.chooser(
        keep=debian.keep, drop=debian.drop, documentation=debian.documentation
    )
    links = {*_MERGED, "lib64"} if debian.merged_usr else set()
    stage.filter(lambda name: name in links or chosen(name))


def _add_own(stage: Stage, debian: Debian, folder: Folder) -> None:
    for item in debian.directories:
        mode = bits(item, 0o755)
        stage.make_directory(item.path, mode=mode, uid=item.uid, gid=item.gid)
    for addition in debian.files:
        for entry, chunks in addition_entries(addition, folder):
            stage.add(entry, chunks)
    for path, target in debian.links:
        stage.remove(stage.resolve(path))
        stage.add_link(path, target)
    if debian.users or debian.groups:
        users = account.passwd(_text(stage, "etc/passwd"), debian.users)
        groups = account.group(_text(stage, "etc/group"), debian.groups, debian.users)
        stage.add_file("etc/passwd", users.encode())
        stage.add_file("etc/group", groups.encode())


def _compile(stage: Stage, architecture: str, progress: Progress) -> None:
    if architecture != Platform.host().architecture:
        progress.note(f"Python of {architecture} is not compiled on this host: it starts slower")
        return
    with task(progress, "compile Python"):
        bytecode.compile_modules(stage)


def _text(stage: Stage, name: str) -> str:
    node = stage.find(name)
    return "" if node is None else stage.read(node).decode(errors="surrogateescape")
