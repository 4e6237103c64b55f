"""Export: an image of the cache as one file that other tools read.

The same image gives the same bytes: entries are in a fixed order and have no times.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import IO

import msgspec

from sampan.base.entry import Entry, Kind
from sampan.oci import compression, model
from sampan.oci.digest import Digest
from sampan.oci.layout import Cache, Image, ImageNotFoundError
from sampan.oci.layout.reach import reach
from sampan.oci.model import Descriptor, Index, Platform
from sampan.oci.reference import Reference
from sampan.oci.tar import Writer
from sampan.oci.tree import contents, image_tree, layer_index

_CHUNK = 1 << 20
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


class Format(StrEnum):
    """What an export looks like: an image layout, `docker save`, or the flattened tree."""

    OCI = "oci"
    DOCKER = "docker"
    FILESYSTEM = "filesystem"


def export_archive(
    cache: Cache,
    reference: Reference,
    stream: IO[bytes],
    *,
    format: Format | str = Format.OCI,  # noqa: A002  the name of the flag
    platform: Platform | None = None,
    name: Reference | None = None,
) -> None:
    """Write the image to `stream` as a tar.

    `oci` has all platforms that are in the cache, unless `platform` chooses one; the other
    formats have one, by default this computer's. The archive carries `name`, by default the
    image's own, so that importing it gives the same name again.

    Raises:
        ImageNotFoundError: the image is not there, or not for the platform.
        SampanError: a blob is missing or damaged.
    """
    shown = name or reference
    with Writer(stream) as writer:
        if Format(format) is Format.OCI:
            _write_layout(cache, _chosen(cache, reference, platform), shown, writer)
            return
        image = cache.image(reference, platform or Platform.host())
        if Format(format) is Format.DOCKER:
            _write_saved(cache, image, shown, writer)
        else:
            _write_tree(cache, image, writer)


def _chosen(cache: Cache, reference: Reference, platform: Platform | None) -> Descriptor:
    if platform is not None:
        image = cache.image(reference, platform)
        size = cache.blobs.size(image.digest)
        return Descriptor(image.manifest.media_type, image.digest, size, image.platform)
    descriptor = cache.find(reference)
    if descriptor is None:
        raise ImageNotFoundError(
            f"{reference.familiar} is not in the cache",
            hint=f"sampan cache pull {reference.familiar}",
        )
    return descriptor


def _write_layout(cache: Cache, descriptor: Descriptor, name: Reference, writer: Writer) -> None:
    annotations = {model.CONTAINERD_NAME: name.canonical, model.REF_NAME: name.canonical}
    named = msgspec.structs.replace(descriptor, annotations=annotations)
    _add(writer, "oci-layout", _LAYOUT)
    _add(writer, "index.json", model.encode(Index(manifests=(named,))))
    for digest in sorted(reach(cache.blobs, descriptor)):
        path = f"blobs/{digest.algorithm}/{digest.hex}"
        cache.blobs.check(digest, name.familiar)
        with cache.open_blob(digest) as blob:
            writer.add(_file(path, cache.blobs.size(digest)), _chunks(blob))


def _write_saved(cache: Cache, image: Image, name: Reference, writer: Writer) -> None:
    config = image.manifest.config.digest
    paths = [f"{diff_id.hex}.tar" for diff_id in image.config.rootfs.diff_ids]
    tagged = name.with_default_tag()
    saved = {
        "Config": f"{config.hex}.json",
        "RepoTags": [f"{tagged.canonical}"] if tagged.digest is None else [],
        "Layers": paths,
    }
    _add(writer, "manifest.json", msgspec.json.encode([saved]))
    _add(writer, f"{config.hex}.json", cache.read_blob(config))
    written: set[str] = set()
    for path, layer in zip(paths, image.layers, strict=True):
        if path not in written:  # two empty layers are one file
            written.add(path)
            _add_layer(cache, image, layer.digest, path, writer)


def _add_layer(cache: Cache, image: Image, digest: Digest, path: str, writer: Writer) -> None:
    name = image.reference.familiar
    size = layer_index(cache, digest, image=name).size
    cache.blobs.check(digest, name)
    with cache.open_blob(digest) as blob:
        what = f"layer {digest} of {name}"
        writer.add(_file(path, size), compression.decompress(blob, what=what))


def _write_tree(cache: Cache, image: Image, writer: Writer) -> None:
    nodes = image_tree(cache, image).nodes
    for node in nodes:  # folders first, so that nothing comes before its parent
        if node.entry.kind is Kind.DIRECTORY:
            writer.add(node.entry)
    for node, chunks in contents(cache, image, nodes):
        writer.add(node.entry, chunks)
    for node in nodes:
        if node.entry.kind not in (Kind.DIRECTORY, Kind.FILE):
            writer.add(node.entry)


def _add(writer: Writer, name: str, data: bytes) -> None:
    writer.add(_file(name, len(data)), [data])


def _file(name: str, size: int) -> Entry:
    return Entry(name, Kind.FILE, 0o644, size=size)


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    while chunk := stream.read(_CHUNK):
        yield chunk
