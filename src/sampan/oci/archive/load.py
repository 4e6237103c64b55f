"""Import: the images in an archive, whichever tool wrote it, become images of the cache.

The archive is read once, as a stream, so it may be a pipe. Every file in it that may be part
of an image is put into the cache under its digest on the way; which of them are images is
decided at the end, because some tools write their lists last.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

from sampan.base.entry import Kind
from sampan.base.progress import SILENT, Progress
from sampan.base.progress import task as progress_task
from sampan.errors import SampanError
from sampan.oci import compression, model, tar
from sampan.oci.compression import Compression
from sampan.oci.digest import Digest
from sampan.oci.layout import Cache, Image
from sampan.oci.limit import DEFAULT_LIMITS, LimitError, Limits
from sampan.oci.model import Descriptor, ImageConfig, Index, Manifest
from sampan.oci.reference import Reference
from sampan.oci.tree import image_tree

_BLOBS = "blobs/"
_LAYER_TYPES = {
    Compression.NONE: model.OCI_LAYER,
    Compression.GZIP: model.OCI_LAYER_GZIP,
    Compression.ZSTD: model.OCI_LAYER_ZSTD,
}
_CONFIG_TYPES = frozenset({model.OCI_CONFIG, model.DOCKER_CONFIG})
_CONFIG_NAME = re.compile(r"([0-9a-f]{64})\.json")  # what `docker save` calls a config
_MAGIC_SIZE = 6


class InvalidArchiveError(SampanError):
    """An archive holds no image, or one that cannot be imported."""


class _Saved(msgspec.Struct, frozen=True, rename="pascal"):
    """One image in the `manifest.json` of `docker save`; the texts are paths in the archive."""

    config: str
    layers: tuple[str, ...] = ()
    repo_tags: tuple[str, ...] = ()


class _Contents(msgspec.Struct):
    """What was found in an archive: files by their paths, links as they point."""

    documents: dict[str, bytes] = {}
    files: dict[str, Digest] = {}
    links: dict[str, str] = {}

    def file(self, path: str, what: str) -> Digest:
        """The file at `path`, or what a link there points to."""
        path = posixpath.normpath(path)
        for _ in range(8):  # links to links; more are a circle
            if path in self.files:
                return self.files[path]
            path = self.links.get(path, path)
        raise InvalidArchiveError(
            f"{what}: it lists {path!r} but does not contain it", hint="save the image again"
        )


class _Found(msgspec.Struct, frozen=True):
    """An image of the archive under one of its names, if it has any."""

    descriptor: Descriptor
    reference: Reference | None


def import_archive(
    cache: Cache,
    source: Path | IO[bytes],
    *,
    name: Reference | None = None,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = SILENT,
) -> list[Reference]:
    """Import every image of the archive in `source` (compressed or not) and return their names.

    Names are taken from `io.containerd.image.name`, `org.opencontainers.image.ref.name` or
    `RepoTags`; `name` is given to the one image of an archive instead. Layers are read through
    before an image gets its name.

    Raises:
        InvalidArchiveError: there is no image in it, or none with a name and `name` is not given.
        SampanError: the archive or an image in it is damaged.
    """
    if isinstance(source, Path):
        with source.open("rb") as stream:
            return import_archive(cache, stream, name=name, limits=limits, progress=progress)
    what = f"archive {getattr(source, 'name', '')}".strip()
    with cache.adding(), progress_task(progress, f"import {what}", None):
        contents = _read(cache, source, limits, what)
        if "index.json" in contents.documents:
            found = list(_oci_images(cache, contents, what))
        elif "manifest.json" in contents.documents:
            found = list(_docker_images(cache, contents, what))
        else:
            raise _no_image(contents, what)
        named = _with_names(found, name, what)
        for reference, descriptor in named.items():
            for image in cache.images(reference, descriptor):
                _check_layers(cache, image, limits)
        for reference, descriptor in named.items():
            cache.tag(reference, descriptor)
    return list(named)


def _read(cache: Cache, source: IO[bytes], limits: Limits, what: str) -> _Contents:
    contents = _Contents()
    plain = compression.open_decompressed(source, what=what)
    for entry, content in tar.read(plain, limits=limits, what=what):
        name = entry.name
        if entry.kind is Kind.SYMLINK:
            folder = posixpath.dirname(name)
            contents.links[name] = posixpath.normpath(posixpath.join(folder, entry.target))
        elif entry.kind is Kind.HARDLINK:
            contents.links[name] = entry.target
        elif name in ("index.json", "manifest.json"):
            if entry.size > model.DOCUMENT_LIMIT:
                raise LimitError(what, f"{name} has {entry.size} bytes")
            contents.documents[name] = content.read()
        elif entry.kind is Kind.FILE and _may_be_part(name):
            contents.files[name] = _keep(cache, name, content)
    return contents


def _may_be_part(name: str) -> bool:
    return name.startswith(_BLOBS) or name.endswith((".tar", ".json"))


def _keep(cache: Cache, name: str, content: tar.Content) -> Digest:
    expected = None
    if name.startswith(_BLOBS):
        expected = Digest.parse(name.removeprefix(_BLOBS).replace("/", ":", 1))
        if cache.has_blob(expected):
            return expected
    elif config := _CONFIG_NAME.fullmatch(name):
        expected = Digest.parse(f"sha256:{config[1]}")
    return cache.blobs.put(content, expected)


def _oci_images(cache: Cache, contents: _Contents, what: str) -> Iterator[_Found]:
    index = model.decode(contents.documents["index.json"], Index, f"index.json of {what}")
    saved_names = _names_of_saved(contents, what)
    for descriptor in index.manifests:
        if model.REFERENCE_TYPE in descriptor.annotations:
            continue  # says something of another image
        if not cache.has_blob(descriptor.digest):
            raise InvalidArchiveError(
                f"{what}: it lists {descriptor.digest} but does not contain it",
                hint="save the image again",
            )
        document = model.decode_manifest(
            cache.read_blob(descriptor.digest), f"manifest {descriptor.digest} of {what}"
        )
        # the document knows better than the list, which some tools fill in wrongly
        fixed = Descriptor(
            document.media_type,
            descriptor.digest,
            cache.blobs.size(descriptor.digest),
            descriptor.platform,
        )
        names = _annotated_names(descriptor)
        if not names and isinstance(document, Manifest):
            names = saved_names.get(document.config.digest, ())
        for reference in names or (None,):
            yield _Found(fixed, reference)


def _annotated_names(descriptor: Descriptor) -> tuple[Reference, ...]:
    for key in (model.CONTAINERD_NAME, model.REF_NAME):
        text = descriptor.annotations.get(key, "")
        # the specification lets ref.name also be a bare tag, which names nothing
        if "/" in text or ":" in text:
            return (Reference.parse(text),)
    return ()


def _saved(contents: _Contents, what: str) -> tuple[_Saved, ...]:
    data = contents.documents.get("manifest.json", b"[]")
    return model.decode(data, tuple[_Saved, ...], f"manifest.json of {what}")


def _names_of_saved(contents: _Contents, what: str) -> dict[Digest, tuple[Reference, ...]]:
    return {
        contents.file(saved.config, what): tuple(map(Reference.parse, saved.repo_tags))
        for saved in _saved(contents, what)
    }


def _docker_images(cache: Cache, contents: _Contents, what: str) -> Iterator[_Found]:
    for saved in _saved(contents, what):
        config_digest = contents.file(saved.config, what)
        layers = tuple(_layer(cache, contents.file(path, what)) for path in saved.layers)
        data = cache.read_blob(config_digest)
        config = model.decode(data, ImageConfig, f"{saved.config} of {what}")
        if len(config.rootfs.diff_ids) != len(layers):
            raise InvalidArchiveError(
                f"{what}: its config names {len(config.rootfs.diff_ids)} layers, its manifest "
                f"{len(layers)}",
                hint="save the image again",
            )
        manifest = model.encode(
            Manifest(config=Descriptor(model.OCI_CONFIG, config_digest, len(data)), layers=layers)
        )
        descriptor = Descriptor(
            model.OCI_MANIFEST, cache.put_blob(manifest), len(manifest), config.platform
        )
        for text in saved.repo_tags or (None,):
            yield _Found(descriptor, Reference.parse(text) if text else None)


def _layer(cache: Cache, digest: Digest) -> Descriptor:
    with cache.open_blob(digest) as blob:
        packed = compression.detect(blob.read(_MAGIC_SIZE))
    media_type = _LAYER_TYPES.get(packed)
    if media_type is None:
        raise InvalidArchiveError(
            f"layer {digest} is compressed with {packed}, which no image may be",
            hint="save the image with a newer tool",
        )
    return Descriptor(media_type, digest, cache.blobs.size(digest))


def _with_names(
    found: list[_Found], name: Reference | None, what: str
) -> dict[Reference, Descriptor]:
    if not found:
        raise InvalidArchiveError(
            f"{what} has an empty list of images", hint="save the image again"
        )
    if name is not None:
        digests = {image.descriptor.digest for image in found}
        if len(digests) > 1:
            raise InvalidArchiveError(
                f"{what} has {len(digests)} images, but one name was given",
                hint="import it without --name",
            )
        return {name: found[0].descriptor}
    named = {image.reference: image.descriptor for image in found if image.reference is not None}
    if not named:
        raise InvalidArchiveError(f"{what} does not name its image", hint="name it with --name")
    return named


def _check_layers(cache: Cache, image: Image, limits: Limits) -> None:
    """Read through every layer of the image, so that a bad one gets no name."""
    if image.manifest.config.media_type in _CONFIG_TYPES:  # other artifacts have no tree
        image_tree(cache, image, limits=limits)


def _no_image(contents: _Contents, what: str) -> InvalidArchiveError:
    if any(path.endswith("/layer.tar") for path in contents.files):
        return InvalidArchiveError(
            f"{what} was saved by a Docker older than 1.10", hint="save it with a newer one"
        )
    return InvalidArchiveError(
        f"{what} holds no image: it has neither index.json nor manifest.json",
        hint="OCI layout archives and what `docker save` writes can be imported",
    )
