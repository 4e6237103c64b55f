"""The tag of a package: a hash of all the sources that determine it.

In a git work tree the tag is LinuxKit's (linuxkit.md 1.4): the hash of the folder's git tree,
with `-dirty-…` when there are changes. Elsewhere, and for the packages that Sampan ships, it is
a hash over the folder's files. What a tag is used for is not known here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sampan.base import proc
from sampan.errors import SampanError
from sampan.package import document
from sampan.package.recipe import Recipe

COMPOSER_REVISION = 2  # count up when the same folder gives another image
_DIRTY_DIGITS = 7
_IGNORED = frozenset({".git", "__pycache__", ".DS_Store"})


class TagError(SampanError):
    """A package has no tag: its sources are not what they should be."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The state of a package's sources.

    `revision` is the commit's hash, `""` without git; `commit_s` its time, in seconds since 1970.
    """

    hash: str
    dirty: bool = False
    revision: str = ""
    commit_s: int = 0


def package_tag(
    folder: Path, *, commit: str = "HEAD", hash_override: str = "", recipe: Recipe | None = None
) -> str:
    """The tag of the package in `folder`, its recipe's `tag` template filled in.

    Raises:
        DocumentError: its `build.yml` has faults.
        TagError: the template or the sources cannot be used.
    """
    recipe = recipe or document.load(folder)
    found = hash_override or sources(folder, recipe, commit=commit).hash
    return fill_template(recipe.tag, found)


def fill_template(template: str, hash_text: str) -> str:
    """`template` with `{{.Hash}}` (spaces allowed inside the braces) replaced.

    Raises:
        TagError: it has another field of a template.
    """
    compact = template
    for spelling in ("{{.Hash}}", "{{ .Hash }}", "{{ .Hash}}", "{{.Hash }}"):
        compact = compact.replace(spelling, hash_text)
    if "{{" in compact:
        raise TagError(f"the tag {template!r} has a field that is not known", hint="use {{.Hash}}")
    return compact


def sources(folder: Path, recipe: Recipe, *, commit: str = "HEAD") -> Sources:
    """The state of the sources in `folder` and its recipe's `extra-sources`."""
    paths = source_paths(folder, recipe)
    top = _git_top(paths[0])
    return Sources(content_hash(paths)) if top is None else _git_sources(top, paths, commit)


def source_paths(folder: Path, recipe: Recipe) -> list[Path]:
    """Everything that determines the package: its folder, then its extra sources."""
    root = folder.resolve()
    return [root, *((root / item.source).resolve() for item in recipe.extra_sources)]


def content_hash(folders: Sequence[Path]) -> str:
    """A hash over names, contents and executable bits of all files below `folders`."""
    hasher = hashlib.sha256(f"sampan package {COMPOSER_REVISION}\0".encode())
    for folder in folders:
        if not folder.exists():
            raise TagError(f"{folder}: no such file or folder; the package is built with it")
        for name, path in _files(folder):
            if path.is_symlink():
                kind, data = b"l", bytes(path.readlink())
            else:
                kind = b"x" if path.stat().st_mode & 0o100 else b"f"
                data = path.read_bytes()
            for field in (kind, name.encode(errors="surrogateescape"), data):
                hasher.update(b"%d\0" % len(field) + field)
    return hasher.hexdigest()[:40]


def _files(folder: Path) -> list[tuple[str, Path]]:
    if not folder.is_dir():
        return [(folder.name, folder)]
    found = []
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        plain = path.is_symlink() or path.is_file()
        if plain and not _IGNORED.intersection(name.parts):
            found.append((name.as_posix(), path))
    return sorted(found)


def _git_top(folder: Path) -> Path | None:
    """The top of the git work tree that has `folder` in it, with at least one commit."""
    if not any((parent / ".git").exists() for parent in (folder, *folder.parents)):
        return None
    done = proc.run(["git", "-C", folder, "rev-parse", "--show-toplevel", "HEAD"], check=False)
    if done.status != 0:
        return None
    return Path(done.stdout.decode(errors="surrogateescape").splitlines()[0])


def _git_sources(top: Path, paths: Sequence[Path], commit: str) -> Sources:
    trees = [_git_tree(top, path, commit) for path in paths]
    found = trees[0]
    if len(trees) > 1:
        found = hashlib.sha1("".join(trees).encode(), usedforsecurity=False).hexdigest()
    revision, commit_s = _git(top, "show", "-s", "--format=%H %ct", commit).split()
    clean = Sources(found, revision=revision, commit_s=int(commit_s))
    if commit != "HEAD":
        return clean
    names = [str(path.relative_to(top)) for path in paths]
    untracked = _git(top, "ls-files", "-z", "--others", "--exclude-standard", "--", *names)
    changed = proc.run(["git", "-C", top, "diff", "--quiet", "HEAD", "--", *names], check=False)
    if changed.status == 0 and not untracked:
        return clean
    tracked = _git(top, "ls-files", "-z", "--", *names)
    hasher = hashlib.sha256()
    for name in [*tracked.split("\0"), *untracked.split("\0")]:
        path = top / name
        if name and path.is_file() and not path.is_symlink():
            hasher.update(path.read_bytes())
    return Sources(f"{found}-dirty-{hasher.hexdigest()[:_DIRTY_DIGITS]}", dirty=True)


def _git_tree(top: Path, path: Path, commit: str) -> str:
    """The hash of the git tree or blob that `path` is in `commit`."""
    if path == top:
        return _git(top, "rev-parse", f"{commit}^{{tree}}").strip()
    if not path.is_relative_to(top):
        raise TagError(f"{path} is outside of the git work tree {top}")
    listed = _git(top, "ls-tree", "--full-tree", commit, "--", str(path.relative_to(top)))
    if not listed:
        return content_hash([path])  # not committed yet: it is dirty all the same
    return listed.split()[2]


def _git(top: Path, *argv: str) -> str:
    return proc.run(["git", "-C", top, *argv]).stdout.decode(errors="surrogateescape")
