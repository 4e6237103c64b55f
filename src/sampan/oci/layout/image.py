"""One image of a cache, found by name and platform."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sampan.errors import SampanError
from sampan.oci import model
from sampan.oci.digest import Digest
from sampan.oci.layout.blob import BlobStore
from sampan.oci.model import Descriptor, ImageConfig, Index, Manifest, Platform
from sampan.oci.reference import Reference

_MAX_DEPTH = 4  # indexes inside indexes
_STATEMENT_LIMIT = 64 << 20  # bytes of one attestation; SBOMs are large


class ImageNotFoundError(SampanError):
    """The cache does not have the image, or not for that platform."""


@dataclass(frozen=True)
class Image:
    """An image for one platform. `digest` is the manifest's; `layers` are lowest first."""

    reference: Reference
    digest: Digest
    manifest: Manifest
    config: ImageConfig
    platform: Platform
    index: Index | None = None
    blobs: BlobStore = field(repr=False, compare=False, kw_only=True)

    @property
    def layers(self) -> tuple[Descriptor, ...]:
        """The layers' descriptors, lowest first."""
        return self.manifest.layers

    def attestations(self, predicate_type: str | None = None) -> Iterator[bytes]:
        """The in-toto statements (JSON) about this image, such as its SBOM.

        Only those whose predicate has `predicate_type`, if that is given. Those that were not
        pulled are left out.

        Raises:
            SampanError: a document is damaged.
        """
        for descriptor in self.index.manifests if self.index else ():
            about = descriptor.annotations.get(model.REFERENCE_DIGEST)
            if about != self.digest or not self.blobs.has(descriptor.digest):
                continue
            manifest = read_manifest(self.blobs, descriptor)
            for layer in manifest.layers if isinstance(manifest, Manifest) else ():
                wanted = predicate_type in (None, layer.annotations.get(model.PREDICATE_TYPE))
                if layer.media_type == model.IN_TOTO and wanted and self.blobs.has(layer.digest):
                    yield self.blobs.read(layer.digest, _STATEMENT_LIMIT)


def read_manifest(blobs: BlobStore, descriptor: Descriptor) -> Manifest | Index:
    """The document that `descriptor` points to.

    Raises:
        BlobMissingError, InvalidDocumentError: it is not there, or no manifest.
    """
    what = f"manifest {descriptor.digest}"
    return model.decode_manifest(blobs.read(descriptor.digest), what)


def resolve(
    blobs: BlobStore, reference: Reference, descriptor: Descriptor, platform: Platform
) -> Image:
    """The image for `platform` that `descriptor` leads to.

    Raises:
        ImageNotFoundError: there is none; the error names the platforms there are.
        SampanError: a document is missing or damaged.
    """
    found = list(every(blobs, reference, descriptor))
    matching = [image for image in found if platform.accepts(image.platform)]
    if not matching:
        have = ", ".join(sorted({str(image.platform) for image in found})) or "nothing"
        raise ImageNotFoundError(
            f"{reference.familiar} is not in the cache for {platform}; there is {have}",
            hint=f"sampan cache pull --platform {platform} {reference.familiar}",
        )
    return min(matching, key=lambda image: _preference(platform, image.platform))


def every(blobs: BlobStore, reference: Reference, descriptor: Descriptor) -> Iterator[Image]:
    """The images that `descriptor` leads to and that are there, one for each platform.

    Raises:
        SampanError: a document is missing or damaged.
    """
    yield from _images(blobs, reference, descriptor, None, _MAX_DEPTH)


def _preference(wanted: Platform, offered: Platform) -> tuple[bool, int, str]:
    exact = wanted.normal().variant == offered.variant
    # of arm the newest variant, as all machines we run have it; of the others the plainest
    newest = -ord(offered.variant[-1]) if offered.architecture == "arm" and offered.variant else 0
    return (not exact, newest, offered.variant)


def _images(
    blobs: BlobStore, reference: Reference, descriptor: Descriptor, index: Index | None, depth: int
) -> Iterator[Image]:
    if depth == 0:
        raise model.InvalidDocumentError(
            f"index of {reference.familiar}", "too many indexes inside one another"
        )
    document = read_manifest(blobs, descriptor)
    if isinstance(document, Index):
        for inner in document.manifests:
            is_image = model.REFERENCE_TYPE not in inner.annotations
            if is_image and blobs.has(inner.digest):  # the others were not pulled
                yield from _images(blobs, reference, inner, document, depth - 1)
        return
    config = model.decode(
        blobs.read(document.config.digest), ImageConfig, f"config of {reference.familiar}"
    )
    platform = descriptor.platform or config.platform
    yield Image(
        reference, descriptor.digest, document, config, platform.normal(), index, blobs=blobs
    )
