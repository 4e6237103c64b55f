"""Which blobs belong to an image: what a clean-up must keep."""

from __future__ import annotations

from sampan.oci.digest import Digest
from sampan.oci.layout.blob import BlobStore
from sampan.oci.layout.image import read_manifest
from sampan.oci.model import INDEX_TYPES, MANIFEST_TYPES, Descriptor, Index


def reach(blobs: BlobStore, descriptor: Descriptor) -> set[Digest]:
    """The digests of all blobs of the image at `descriptor`, itself included.

    Manifests of an index that are not in the store (other platforms, not pulled) are left
    out; everything that a manifest names is in, there or not.

    Raises:
        SampanError: a manifest that is there cannot be read.
    """
    found: set[Digest] = {descriptor.digest}
    pending = [descriptor]
    while pending:
        current = pending.pop()
        if current.media_type not in INDEX_TYPES | MANIFEST_TYPES or not blobs.has(current.digest):
            continue
        document = read_manifest(blobs, current)
        if isinstance(document, Index):
            inner = [item for item in document.manifests if item.digest not in found]
            present = [item for item in inner if blobs.has(item.digest)]
            found |= {item.digest for item in present}
            pending += present
        else:
            found |= {document.config.digest, *(layer.digest for layer in document.layers)}
    return found
