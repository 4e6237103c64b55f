"""Builds packages: what `sampan pkg build|push|show-tag|manifest` and the catalog stand on.

A package that is in the cache under its content hash is not built again. Platforms are added to
the index of that name one by one; builds of one package wait for each other.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec

from sampan.base import fs
from sampan.base.progress import SILENT, Prefixed, Progress, check
from sampan.errors import SampanError, UsageError
from sampan.oci import archive, model
from sampan.oci.layout import Cache
from sampan.oci.model import Descriptor, Index, Platform
from sampan.oci.reference import Reference
from sampan.package import (
    argument,
    artifact,
    catalog,
    composer,
    dependency,
    dockerfile,
    document,
)
from sampan.package import tag as tags
from sampan.package.recipe import Debian, DockerImages, Recipe
from sampan.package.stage import Stage
from sampan.spec.label import format_label
from sampan.spec.model import ContainerDefaults

CONFIG_LABEL = "org.mobyproject.config"
SOURCE_LABEL = "org.opencontainers.image.source"
REVISION_LABEL = "org.opencontainers.image.revision"


@dataclass(frozen=True, slots=True)
class Options:
    """How packages are built and named.

    `force` builds what is in the cache already. `org` and `hash` replace those of the recipe;
    `commit` is the git commit whose hash counts. `build_args` are pairs for Dockerfiles.
    `builder` None takes the one that is there; `storage` is buildah's (see `dockerfile.Job`).
    """

    force: bool = False
    build_yml: str = document.FILE
    org: str = ""
    hash: str = ""
    commit: str = "HEAD"
    debian: composer.Options = field(default_factory=composer.Options)
    build_args: tuple[tuple[str, str], ...] = ()
    network: bool | None = None
    cached: bool | None = None
    pull: bool = False
    builder: dockerfile.Builder | None = None
    storage: Path | None = None


@dataclass(frozen=True, slots=True)
class Package:
    """A package that has been looked at: its folder, recipe, sources and full name."""

    folder: Path
    recipe: Recipe
    sources: tags.Sources
    reference: Reference


def open_package(folder: Path, options: Options | None = None) -> Package:
    """Read the package in `folder` and work out its name.

    Raises:
        UsageError: it is no package.
        DocumentError: its `build.yml` has faults.
    """
    options = options or Options()
    recipe = document.load(folder, name=options.build_yml)
    if options.hash:
        sources = tags.Sources(options.hash)
    elif catalog.contains(folder):  # the same tag in a work tree and in an installed wheel
        sources = tags.Sources(tags.content_hash(tags.source_paths(folder, recipe)))
    else:
        sources = tags.sources(folder, recipe, commit=options.commit)
    org = options.org or recipe.org
    tag = tags.fill_template(recipe.tag, sources.hash)
    reference = Reference.parse(f"{org}/{recipe.image}:{tag}")
    return Package(folder.resolve(), recipe, sources, reference)


def show_tag(folder: Path, options: Options | None = None, *, canonical: bool = False) -> str:
    """The name of the image that the package in `folder` is built as, with its tag."""
    reference = open_package(folder, options).reference
    return reference.canonical if canonical else reference.familiar


def build(
    folder: Path,
    cache: Cache,
    platform: Platform | Sequence[Platform],
    options: Options | None = None,
    progress: Progress = SILENT,
) -> Reference:
    """Have the image of the package in `folder` in `cache`, for each platform that is named.

    Raises:
        UsageError: it is no package, or not for that platform.
        DocumentError: its `build.yml` has faults.
        SampanError: it cannot be built; what failed is in the message.
    """
    options = options or Options()
    package = open_package(folder, options)
    wanted = [platform] if isinstance(platform, Platform) else list(platform)
    for one in wanted:
        if one.architecture not in package.recipe.arches:
            raise UsageError(
                f"package {package.recipe.image} is not for {one}",
                hint=f"its build.yml has arches: {', '.join(package.recipe.arches)}",
            )
    _check_complete(package)
    lock = cache.root / "packages" / f"{package.reference.repository.replace('/', '-')}.lock"
    with cache.adding(), fs.locked(lock, wait=partial(check, progress)):
        for one in wanted:
            if options.force or not has_platform(cache, package.reference, one):
                progress.note(f"build {package.reference.familiar} for {one}")
                named = Prefixed(progress, f"{package.reference.repository}: ")
                new = _build(package, cache, one, options, named)
                _add(cache, package.reference, new)
                if not isinstance(package.recipe.debian, Debian):
                    cache.remove(_single(package, one))  # its image has its place in the index
    return package.reference


def _check_complete(package: Package) -> None:
    recipe = package.recipe
    if isinstance(recipe.debian, Debian) or recipe.extra_sources:  # which may bring a Dockerfile
        return
    if not (package.folder / recipe.dockerfile).is_file():
        raise UsageError(
            f"package {recipe.image} has nothing to be built from: "
            f"neither {recipe.dockerfile} nor, in its recipe, debian:",
            hint=f"add one of them in {package.folder}",
        )


def build_from_catalog(
    reference: Reference,
    cache: Cache,
    platform: Platform | Sequence[Platform],
    options: Options | None = None,
    progress: Progress = SILENT,
) -> Reference | None:
    """Build the package of the catalog that `reference` names; None if it names none."""
    folder = catalog.find(reference)
    return None if folder is None else build(folder, cache, platform, options, progress)


def has_platform(cache: Cache, reference: Reference, platform: Platform) -> bool:
    """Whether the cache has the image `reference` for `platform`, with what is attached to it."""
    found = _manifests(cache, reference)
    wanted = {
        str(item.digest)
        for item in found
        if item.platform is not None and platform.accepts(item.platform)
    }
    theirs = [
        item
        for item in found
        if str(item.digest) in wanted or item.annotations.get(model.REFERENCE_DIGEST) in wanted
    ]
    return bool(wanted) and all(map(cache.is_whole, theirs))


def manifest(reference: Reference, cache: Cache, platforms: Sequence[Platform]) -> Descriptor:
    """Make `reference` the index of the images tagged `…-ARCH`, as LinuxKit pushes them.

    Raises:
        SampanError: none of them is in the cache.
    """
    found: list[Descriptor] = []
    for platform in platforms:
        tag = f"{reference.tag}-{platform.architecture}"
        single = msgspec.structs.replace(reference, tag=tag)
        found += [_with_platform(item, platform) for item in _manifests(cache, single)]
    if not found:
        raise SampanError(
            f"no image {reference.familiar}-ARCH is in the cache",
            hint="build the package first, or pull the images of each architecture",
        )
    return artifact.publish(cache, reference, found)


def check_pushable(package: Package) -> None:
    """A package with uncommitted changes is not pushed: nobody could say what is in it.

    Raises:
        SampanError: its sources have changes.
    """
    if package.sources.dirty:
        raise SampanError(
            f"package {package.recipe.image} has changes that are not committed",
            hint="commit them, then build and push again",
        )


def labels(package: Package) -> dict[str, str]:
    """The labels of the package's image."""
    found: dict[str, str] = {}
    if isinstance(package.recipe.config, ContainerDefaults):
        found[CONFIG_LABEL] = format_label(package.recipe.config)
    if package.recipe.gitrepo:
        found[SOURCE_LABEL] = package.recipe.gitrepo
    if package.sources.revision and not package.sources.dirty:
        found[REVISION_LABEL] = package.sources.revision
    return found


def _build(
    package: Package, cache: Cache, platform: Platform, options: Options, progress: Progress
) -> list[Descriptor]:
    """Build for one platform; the manifests to put into the index."""
    if isinstance(package.recipe.debian, Debian):
        return _compose(package, package.recipe.debian, cache, platform, options, progress)
    return _build_dockerfile(package, cache, platform, options, progress)


def _compose(
    package: Package,
    debian: Debian,
    cache: Cache,
    platform: Platform,
    options: Options,
    progress: Progress,
) -> list[Descriptor]:
    with Stage(cache.root / "packages") as stage:
        composition = composer.compose(
            package.recipe,
            debian,
            package.folder,
            debian_architecture(platform),
            cache.root / "apt",
            stage=stage,
            options=options.debian,
            progress=progress,
        )
        return list(
            artifact.write_image(
                cache,
                composition,
                debian,
                platform=platform,
                labels=labels(package),
                name=package.reference.familiar,
                progress=progress,
            )
        )


def debian_architecture(platform: Platform) -> str:
    """Debian's name of a platform's architecture: `arm/v7` is `armhf`.

    Raises:
        UsageError: Debian has no such architecture.
    """
    known = {"amd64", "arm64", "riscv64", "s390x", "ppc64el", "loong64"}
    special = {"ppc64le": "ppc64el", "386": "i386", "arm": "armhf", "mips64le": "mips64el"}
    name = special.get(platform.architecture, platform.architecture)
    if name not in known | set(special.values()) or platform.os != "linux":
        raise UsageError(f"Debian has no architecture for {platform}")
    return "armel" if platform.variant in ("v5", "v6") else name


def _build_dockerfile(
    package: Package, cache: Cache, platform: Platform, options: Options, progress: Progress
) -> list[Descriptor]:
    recipe = package.recipe
    images = recipe.depends.docker_images
    single = _single(package, platform)
    with (
        tempfile.TemporaryDirectory(prefix="sampan-build-") as room,
        dockerfile.context(
            package.folder, recipe.extra_sources, copied=images != DockerImages()
        ) as context,
    ):
        dependency.save_images(images, context, cache, platform)
        output = Path(room) / "image.tar"
        job = dockerfile.Job(
            context=context,
            dockerfile=recipe.dockerfile,
            platform=platform,
            name=single.canonical,
            output=output,
            arguments=_arguments(package, options),
            labels=tuple(sorted(labels(package).items())),
            network=recipe.network if options.network is None else options.network,
            cached=not recipe.disable_cache if options.cached is None else options.cached,
            pull=options.pull,
            storage=options.storage,
            epoch_s=options.debian.epoch_s,
        )
        dockerfile.run(job, builder=options.builder, progress=progress)
        archive.import_archive(cache, output, name=single, progress=progress)
    return [_with_platform(item, platform) for item in _manifests(cache, single)]


def _arguments(package: Package, options: Options) -> argument.Pairs:
    """The build arguments: ours, the recipe's, and those of the caller, of which the last wins."""
    ours = argument.preset(
        package.sources, gitrepo=package.recipe.gitrepo, image=package.reference.familiar
    )
    recipes = argument.expand(package.recipe.build_args, package.folder, show_tag)
    return tuple(dict((*ours, *recipes, *options.build_args)).items())


def _single(package: Package, platform: Platform) -> Reference:
    """The name of a package's image for one architecture only."""
    tag = f"{package.reference.tag}-{platform.architecture}"
    return msgspec.structs.replace(package.reference, tag=tag)


def _manifests(cache: Cache, reference: Reference) -> list[Descriptor]:
    """The manifests that a name of the cache leads to, those of an index one by one."""
    descriptor = cache.find(reference)
    if descriptor is None or not cache.blobs.is_sound(descriptor.digest):
        return []
    if descriptor.media_type not in model.INDEX_TYPES:
        return [descriptor]
    data = cache.read_blob(descriptor.digest, model.DOCUMENT_LIMIT)
    return list(model.decode(data, Index, reference.familiar).manifests)


def _with_platform(descriptor: Descriptor, platform: Platform) -> Descriptor:
    if descriptor.platform is not None:
        return descriptor
    return msgspec.structs.replace(descriptor, platform=platform, annotations={})


def _add(cache: Cache, reference: Reference, new: Sequence[Descriptor]) -> None:
    """Put manifests into the index `reference`, in place of those for the same platforms."""
    platforms = {item.platform for item in new if not item.annotations}
    old = _manifests(cache, reference)
    replaced = {str(item.digest) for item in old if item.platform in platforms}
    kept = [
        item
        for item in old
        if str(item.digest) not in replaced
        and item.annotations.get(model.REFERENCE_DIGEST) not in replaced
    ]
    order = sorted([*kept, *new], key=_position)
    artifact.publish(cache, reference, order)


def _position(item: Descriptor) -> tuple[bool, str]:
    """Images by their platform, then attestations by the image they are of."""
    of = item.annotations.get(model.REFERENCE_DIGEST, "")
    return bool(of), of or str(item.platform)
