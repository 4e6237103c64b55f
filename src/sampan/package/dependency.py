"""`depends.docker-images`: images that lie beside a package's files when it is built.

They are taken from the cache; getting them there is the work of `sampan cache pull`.
"""

from __future__ import annotations

from pathlib import Path

from sampan.errors import SampanError, UnsupportedError
from sampan.oci import archive
from sampan.oci.layout import Cache
from sampan.oci.model import Platform
from sampan.oci.reference import Reference
from sampan.package.recipe import DockerImages


class DependencyError(SampanError):
    """What a package depends on is not said as it should be."""


def save_images(wanted: DockerImages, context: Path, cache: Cache, platform: Platform) -> None:
    """Write the images that `wanted` lists into the folder `context`, as `docker save` does.

    Raises:
        DependencyError: an image has no digest, or a place for it is not given.
        ImageNotFoundError: an image is not in the cache.
        UnsupportedError: several images are to go into one archive.
    """
    references = _references(wanted, context)
    if not references:
        return
    for reference, target in zip(references, _targets(wanted, references), strict=True):
        path = (context / target).resolve()
        if not path.is_relative_to(context.resolve()):
            raise DependencyError(f"depends.docker-images: {target} leaves the package")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as stream:
            archive.export_archive(cache, reference, stream, format="docker", platform=platform)


def _references(wanted: DockerImages, context: Path) -> list[Reference]:
    lines = list(wanted.list)
    if wanted.from_file:
        lines += (context / wanted.from_file).read_text().splitlines()
    texts = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    references = [Reference.parse(text) for text in texts]
    for reference in references:
        if reference.digest is None:
            raise DependencyError(
                f"depends.docker-images: {reference.familiar} has no digest",
                hint="write NAME@sha256:…: a build must not depend on what a tag means today",
            )
    return references


def _targets(wanted: DockerImages, references: list[Reference]) -> list[str]:
    """Where each image goes, relative to the package."""
    if wanted.target_dir and not wanted.target:
        folder = wanted.target_dir
        return [f"{folder}/{_file_name(reference)}" for reference in references]
    if not wanted.target:
        raise DependencyError("depends.docker-images needs a target or a target-dir")
    if len(references) > 1:
        raise UnsupportedError(
            "several images in one target",
            "depends.docker-images",
            "one archive holds one image here",
            instead="write target-dir: FOLDER instead of target",
        )
    return [wanted.target]


def _file_name(reference: Reference) -> str:
    return reference.canonical.replace("/", "_").replace(":", "_") + ".tar"
