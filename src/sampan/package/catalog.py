"""The packages that come with Sampan: names `sampan/NAME`, whatever the tag, mean these."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from sampan.oci.reference import DEFAULT_REGISTRY, Reference
from sampan.package.document import FILE

ORG = "sampan"


def names() -> list[str]:
    """The names of all packages of the catalog, sorted."""
    root = _root()
    found = root.iterdir() if root.is_dir() else ()
    return sorted(path.name for path in found if (path / FILE).is_file())


def find(reference: Reference | str) -> Path | None:
    """The folder of the package that `reference` names, or None if it is none of the catalog.

    The tag plays no part; a digest does: that asks for one image of somebody's.
    """
    if isinstance(reference, str):
        reference = Reference.parse(reference)
    org, _, name = reference.repository.partition("/")
    if reference.registry != DEFAULT_REGISTRY or org != ORG or reference.digest is not None:
        return None
    return _root() / name if name in names() else None


def contains(folder: Path) -> bool:
    """Whether `folder` is one of the catalog's own."""
    return folder.resolve().is_relative_to(_root().resolve())


def _root() -> Path:
    """The catalog's folder; wheels are always installed unpacked."""
    return Path(str(resources.files("sampan.guest"))) / "packages"
