"""Volumes of format `oci`: an image as an OCI image layout in a folder (linuxkit.md 2.7).

Everything in it has time 0, as LinuxKit writes it. Contents are the cache's blobs themselves.
"""

from __future__ import annotations

from sampan.base.entry import Entry, Kind
from sampan.image.step import HostFile, Made
from sampan.oci import model
from sampan.oci.layout import Cache, Image
from sampan.oci.model import Descriptor, Index, Platform
from sampan.spec.model import Volume

_LAYOUT = b'{"imageLayoutVersion": "1.0.0"}'


def image_layout(cache: Cache, image: Image, volume: Volume) -> tuple[Made, ...]:
    """The files of `volume`, which holds `image` for its own or the volume's `platforms`.

    Names are those in the system.

    Raises:
        ImageNotFoundError: the image is not there for one of the platforms.
    """
    lower = f"containers/volumes/{volume.name}/lower"
    images = [image]
    if volume.platforms:
        images = [cache.image(image.reference, Platform.parse(one)) for one in volume.platforms]
    blobs: dict[str, Made] = {}
    listed: list[Descriptor] = []
    for one in images:
        manifest = _manifest(one)
        listed.append(manifest)
        for descriptor in (manifest, one.manifest.config, *one.layers):
            name = f"{lower}/blobs/sha256/{descriptor.digest.hex}"
            blobs[name] = _blob(cache, name, descriptor)
    index = model.encode(Index(manifests=tuple(listed)))
    folders = (f"{lower}/blobs", f"{lower}/blobs/sha256")
    return (
        *(Made(Entry(name, Kind.DIRECTORY, 0o755)) for name in folders),
        _file(f"{lower}/oci-layout", _LAYOUT),
        _file(f"{lower}/index.json", index),
        *(blobs[name] for name in sorted(blobs)),
    )


def _manifest(image: Image) -> Descriptor:
    size = image.blobs.size(image.digest)
    return Descriptor(
        media_type=image.manifest.media_type,
        digest=image.digest,
        size=size,
        platform=image.platform,
        annotations={model.REF_NAME: image.reference.canonical},
    )


def _blob(cache: Cache, name: str, descriptor: Descriptor) -> Made:
    path = cache.blobs.path(descriptor.digest)
    content = HostFile(path, descriptor.size, bytes.fromhex(descriptor.digest.hex))
    return Made(Entry(name, Kind.FILE, 0o644, size=descriptor.size), content)


def _file(name: str, content: bytes) -> Made:
    return Made(Entry(name, Kind.FILE, 0o644, size=len(content)), content)
