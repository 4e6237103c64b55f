"""The build arguments of a Dockerfile package: those Sampan sets, and those a recipe asks for.

Names and special values are LinuxKit's (linuxkit.md 1.4), so that its packages build unchanged.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sampan.errors import SampanError, UsageError
from sampan.package.tag import Sources

_ONE = "@lkt:pkg:"
_MANY = "@lkt:pkgs:"
_REVISION_DIGITS = 12

Pairs = tuple[tuple[str, str], ...]


class ArgumentError(SampanError):
    """A build argument of a recipe cannot be worked out."""


def preset(sources: Sources, *, gitrepo: str, image: str) -> Pairs:
    """The arguments every build has; those about the commit only when nothing has changed."""
    found = [("SOURCE", gitrepo)] if gitrepo else []
    if sources.revision and not sources.dirty:
        moment = dt.datetime.fromtimestamp(sources.commit_s, dt.UTC)
        version = f"v0.0.0-{moment:%Y%m%d%H%M%S}-{sources.revision[:_REVISION_DIGITS]}"
        found += [("REVISION", sources.revision), ("GOPKGVERSION", version)]
    return (*found, ("PKG_HASH", sources.hash), ("PKG_IMAGE", image))


def expand(words: Sequence[str], folder: Path, name_of: Callable[[Path], str]) -> Pairs:
    """`buildArgs` of a recipe as pairs of name and value.

    `NAME=@lkt:pkg:PATH` is the image that the package at PATH (from `folder`) is built as;
    `NAME_%=@lkt:pkgs:GLOB` makes one argument for each package that GLOB finds. `name_of` gives
    the image of a package's folder.

    Raises:
        ArgumentError: an argument has no value, or finds no package.
    """
    return tuple(pair for word in words for pair in _expanded(word, folder, name_of))


def _expanded(word: str, folder: Path, name_of: Callable[[Path], str]) -> Iterator[tuple[str, str]]:
    name, equals, value = word.partition("=")
    if not equals or not name:
        raise ArgumentError(f"build argument {word!r} has no value", hint="write NAME=value")
    if value.startswith(_ONE):
        yield name, name_of(folder / value.removeprefix(_ONE))
    elif value.startswith(_MANY):
        pattern = value.removeprefix(_MANY)
        if name.count("%") != 1:
            raise ArgumentError(f"build argument {word!r}: the name needs one % for the packages")
        images = list(_images(folder, pattern, name_of))
        if not images:
            raise ArgumentError(f"build argument {word!r} finds no package")
        for image in images:
            part = image.rpartition(":")[0].upper().replace("/", "_").replace("-", "_")
            yield name.replace("%", part), image
    else:
        yield name, value


def _images(folder: Path, pattern: str, name_of: Callable[[Path], str]) -> Iterator[str]:
    base = folder
    while pattern.startswith("../"):  # Path.glob does not look above
        base, pattern = base.parent, pattern.removeprefix("../")
    for path in sorted(base.glob(pattern)):
        try:
            yield name_of(path)
        except UsageError:
            continue  # a file, or a folder that is no package
