import hashlib
import io

import pytest

from sampan.errors import SampanError
from sampan.image.larder import Larder
from sampan.image.step import Ingredient
from sampan.oci import layer
from sampan.oci.reference import Reference
from sampan.oci.tree import flatten, image_tree

INNER = {"lib/": None, "lib/a": b"a" * 3000, "lib/empty": b"", "lib/b": b"b" * 10}


@pytest.fixture
def larder(cache, add_image, tar_bytes):
    add_image("k:1", {"kernel": b"k", "kernel.tar": tar_bytes(INNER)})
    return Larder(cache)


def read(found):
    return {node.entry.name: b"".join(map(bytes, chunks)) for node, chunks in found}


def image_of(larder):
    from sampan.oci.model import Platform

    return larder.cache.image(Reference.parse("k:1"), Platform("amd64"))


def test_contents_of_an_image(larder):
    image = image_of(larder)
    larder.add_image("i", image)
    tree = image_tree(larder.cache, image)
    assert read(larder.contents(Ingredient("k", "i", tree), tree.nodes))["kernel"] == b"k"


@pytest.fixture
def modules(larder, tar_bytes):
    image = image_of(larder)
    archive = image_tree(larder.cache, image).by_name["kernel.tar"]
    larder.add_archive("t", image, archive)
    return Ingredient("k", "t", flatten([layer.scan(io.BytesIO(tar_bytes(INNER)))]))


def test_contents_of_an_archive_in_an_image(larder, modules):
    files = [node for node in modules.tree.nodes if node.digest]
    found = read(larder.contents(modules, reversed(files)))
    assert found == {"lib/a": b"a" * 3000, "lib/empty": b"", "lib/b": b"b" * 10}
    assert all(hashlib.sha256(found[n.entry.name]).digest() == n.digest for n in files)


def test_some_of_them_and_only_in_part(larder, modules):
    names = modules.tree.by_name
    found = larder.contents(modules, [names["lib/a"], names["lib/b"]])
    node, chunks = next(found)
    assert node.entry.name == "lib/a"
    next(chunks)
    node, chunks = next(found)
    assert b"".join(map(bytes, chunks)) == b"b" * 10


def test_an_archive_that_ends_early(larder, modules):
    import msgspec

    far = msgspec.structs.replace(modules.tree.by_name["lib/b"], offset=10**6)
    with pytest.raises(SampanError, match=r"kernel.tar ends too early"):
        read(larder.contents(modules, [far]))
