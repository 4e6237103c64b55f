"""The tree of an image in a cache, from the indexes of its layers.

An index is made when it is first wanted and kept beside the blobs; it can always be made
again, so a missing or unreadable one is no fault.
"""

from __future__ import annotations

from sampan.base import fs
from sampan.oci import layer
from sampan.oci.digest import Digest, DigestMismatchError
from sampan.oci.layer import LayerIndex
from sampan.oci.layout import Cache, Image
from sampan.oci.limit import DEFAULT_LIMITS, Limits
from sampan.oci.model import InvalidDocumentError
from sampan.oci.tree.flat import Tree, flatten


def image_tree(cache: Cache, image: Image, *, limits: Limits = DEFAULT_LIMITS) -> Tree:
    """What is in `image`. Also the way to have its layers indexed ahead of time.

    Raises:
        SampanError: a layer is missing, damaged, not the one the config names, or no layer.
    """
    diff_ids = image.config.rootfs.diff_ids
    if len(diff_ids) != len(image.layers):
        raise InvalidDocumentError(
            f"the config of {image.reference.familiar}",
            f"it names {len(diff_ids)} layers and the manifest {len(image.layers)}",
        )
    indexes = []
    for descriptor, diff_id in zip(image.layers, diff_ids, strict=True):
        index = layer_index(cache, descriptor.digest, limits=limits, image=image.reference.familiar)
        # what is kept is always sha256, and so is what everybody writes in configs
        if diff_id.algorithm == "sha256" and index.diff_id != diff_id:
            raise DigestMismatchError(
                f"layer {descriptor.digest} of {image.reference.familiar}, uncompressed,",
                str(diff_id),
                str(index.diff_id),
            )
        indexes.append(index)
    return flatten(indexes, limits=limits)


def layer_index(
    cache: Cache, digest: Digest, *, limits: Limits = DEFAULT_LIMITS, image: str = ""
) -> LayerIndex:
    """The index of one layer in the cache, made and kept there if it is not yet.

    `image` names in errors whose layer it is.

    Raises:
        SampanError: the layer is missing, damaged or no layer.
    """
    path = cache.layer_index_path(digest)
    try:
        index = layer.load(path.read_bytes())
    except FileNotFoundError:
        index = None
    if index is not None:
        return index
    cache.blobs.check(digest, image)
    what = f"layer {digest} of {image}" if image else f"layer {digest}"
    with cache.open_blob(digest) as blob:
        index = layer.scan(blob, limits=limits, what=what)
    path.parent.mkdir(parents=True, exist_ok=True)
    fs.write_atomically(path, layer.dump(index), durable=False)
    return index
