"""Reads `build.yml`: the document becomes a `Recipe`, or an error that lists all its faults."""

from __future__ import annotations

from pathlib import Path

from msgspec import UNSET

from sampan.errors import DocumentError, UsageError
from sampan.package.recipe import Recipe
from sampan.spec import composer, shape
from sampan.spec.decoder import Decoder
from sampan.spec.source import Faults, Source

FILE = "build.yml"


def load(folder: Path, *, name: str = FILE) -> Recipe:
    """The recipe of the package in `folder`.

    Raises:
        UsageError: the folder or its `build.yml` does not exist.
        DocumentError: the document has faults, all of which are named.
    """
    path = folder / name
    if not path.is_file():
        raise UsageError(
            f"{folder} is not a package: it has no {name}",
            hint="name the folder that holds the package's build.yml",
        )
    return parse(Source.file(path))


def parse(source: Source) -> Recipe:
    """The recipe that `source` describes.

    Raises:
        DocumentError: the document has faults, all of which are named.
    """
    faults = Faults(source)
    root = composer.compose(faults)
    recipe: object = UNSET
    if root is not None:
        recipe = Decoder(faults).decode(root, shape.shape_of(Recipe))
    elif not len(faults):
        faults.add("", "the document is empty", (0, 0), "a package needs at least `image: NAME`")
    if faults.problems or not isinstance(recipe, Recipe):
        raise DocumentError(faults.problems)
    return recipe
