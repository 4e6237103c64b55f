"""Which parts of an image are wanted: the manifests for some platforms, and what is about them.

Reads documents through a function it is given; knows no registries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sampan.errors import SampanError
from sampan.oci import model
from sampan.oci.digest import Digest
from sampan.oci.model import Descriptor, ImageConfig, Index, Manifest, Platform
from sampan.oci.reference import Reference

_MAX_DEPTH = 4  # indexes inside indexes, as the cache reads them
_MAX_MANIFESTS = 1000
_KNOWN = model.INDEX_TYPES | model.MANIFEST_TYPES
_CONFIGS = frozenset({model.OCI_CONFIG, model.DOCKER_CONFIG})


class PlatformMissingError(SampanError):
    """An image does not exist for a platform; the message says for which it does."""

    def __init__(self, reference: Reference, wanted: Platform, offered: Sequence[Platform]) -> None:
        self.offered = tuple(offered)
        have = ", ".join(map(str, self.offered))
        says = (
            f"does not exist for {wanted}; there is {have}"
            if have
            else "has nothing for any platform"
        )
        super().__init__(
            f"{reference.familiar} {says}",
            hint="name one of those with --platform, or an image that has yours"
            if have
            else "it is not an image to run: check the name",
        )


@dataclass
class Selection:
    """What is wanted of one image.

    `documents` are manifests and indexes with their bytes, those that are named before those
    that name them; `blobs` are configs and layers, each once.
    """

    documents: list[tuple[Descriptor, bytes]] = field(default_factory=list)
    blobs: dict[Digest, Descriptor] = field(default_factory=dict)


def select(
    reference: Reference,
    root: Descriptor,
    platforms: Sequence[Platform],
    read: Callable[[Descriptor], bytes],
) -> Selection:
    """The parts of the image at `root` for `platforms`, or all parts if that is empty.

    `read` gives a manifest, an index, or the config of a manifest.

    Raises:
        PlatformMissingError: there is nothing for one of the platforms.
        InvalidDocumentError: a document is damaged, or there are more than an image may have.
    """
    walk = _Walk(reference, tuple(platforms), read)
    walk.visit(root, _MAX_DEPTH)
    offered = sorted(set(walk.offered))
    for wanted in platforms:
        if not any(wanted.accepts(platform) for platform in offered):
            raise PlatformMissingError(reference, wanted, offered)
    return walk.selection


class _Walk:
    def __init__(
        self,
        reference: Reference,
        wanted: tuple[Platform, ...],
        read: Callable[[Descriptor], bytes],
    ) -> None:
        self.selection = Selection()
        self.offered: list[Platform] = []
        self._what = f"image {reference.familiar}"
        self._wanted = wanted
        self._read = read
        self._seen: set[Digest] = set()

    def visit(self, descriptor: Descriptor, depth: int) -> None:
        """Take what is wanted of the document at `descriptor`."""
        if descriptor.digest in self._seen:
            return
        if depth == 0:
            raise model.InvalidDocumentError(self._what, "too many indexes inside one another")
        self._seen.add(descriptor.digest)
        if len(self._seen) > _MAX_MANIFESTS:
            raise model.InvalidDocumentError(self._what, f"more than {_MAX_MANIFESTS} manifests")
        data = self._read(descriptor)
        document = model.decode_manifest(data, f"manifest {descriptor.digest}")
        if isinstance(document, Index):
            self._visit_index(document, depth)
        elif not self._is_wanted(descriptor, document):
            return
        else:
            self._take_blobs(document)
        self.selection.documents.append((descriptor, data))

    def _visit_index(self, index: Index, depth: int) -> None:
        inside = [inner for inner in index.manifests if inner.media_type in _KNOWN]
        for inner in inside:
            if model.REFERENCE_TYPE in inner.annotations:
                continue
            if inner.platform is not None:
                self.offered.append(inner.platform.normal())
            if inner.platform is None or self._accepts(inner.platform):
                self.visit(inner, depth - 1)
        taken = {descriptor.digest for descriptor, _ in self.selection.documents}
        for inner in inside:
            about = inner.annotations.get(model.REFERENCE_DIGEST)
            if model.REFERENCE_TYPE in inner.annotations and (not self._wanted or about in taken):
                self.visit(inner, depth - 1)

    def _is_wanted(self, descriptor: Descriptor, manifest: Manifest) -> bool:
        """Whether a manifest is for one of the platforms; if need be its config says for which."""
        about = model.REFERENCE_TYPE in descriptor.annotations
        if about or descriptor.platform is not None or not self._wanted:
            return True
        if manifest.config.media_type not in _CONFIGS:
            return False  # something else than an image
        config = model.decode(
            self._read(manifest.config), ImageConfig, f"config {manifest.config.digest}"
        )
        self.offered.append(config.platform)
        return self._accepts(config.platform)

    def _accepts(self, platform: Platform) -> bool:
        return not self._wanted or any(wanted.accepts(platform) for wanted in self._wanted)

    def _take_blobs(self, manifest: Manifest) -> None:
        for blob in (manifest.config, *manifest.layers):
            self.selection.blobs.setdefault(blob.digest, blob)
