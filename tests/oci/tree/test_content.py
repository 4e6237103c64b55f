import gzip
import threading

import pytest
from backports import zstd

from sampan.oci.compression import DamagedStreamError
from sampan.oci.layout import BlobMissingError
from sampan.oci.tree import contents, image_tree

BIG = bytes(range(256)) * 20_000  # five mebibytes
PACKS = pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd.compress])


def read_all(cache, image, nodes):
    return {
        node.entry.name: b"".join(map(bytes, chunks))
        for node, chunks in contents(cache, image, nodes)
    }


@PACKS
def test_contents_come_in_the_order_of_layers(cache, put_image, layer, item, pack):
    image = put_image(
        [
            layer([item("a", b"1"), item("b", BIG), item("c", b"")]),
            layer([item("0", b"2"), item("d/")]),
        ],
        pack=pack,
    )
    nodes = image_tree(cache, image).nodes
    found = read_all(cache, image, reversed(nodes))
    assert list(found.items()) == [("a", b"1"), ("b", BIG), ("c", b""), ("0", b"2")]


@PACKS
def test_only_what_is_wanted_is_given_and_it_may_be_left_unread(
    cache, put_image, layer, item, pack
):
    image = put_image(
        [layer([item("a", BIG), item("b", BIG[1:]), item("c", b"c"), item("d", BIG[2:])])],
        pack=pack,
    )
    by_name = image_tree(cache, image).by_name
    pieces = contents(cache, image, [by_name["b"], by_name["d"]])
    node, chunks = next(pieces)
    assert node.entry.name == "b"
    first = bytes(next(chunks))
    assert BIG[1:].startswith(first)
    assert first
    node, chunks = next(pieces)
    assert node.entry.name == "d"
    assert b"".join(map(bytes, chunks)) == BIG[2:]
    assert next(pieces, None) is None


def test_stopping_early_ends_the_thread(cache, put_image, layer, item):
    image = put_image([layer([item("a", BIG * 4)])])
    before = threading.active_count()
    pieces = contents(cache, image, image_tree(cache, image).nodes)
    _, chunks = next(pieces)
    next(chunks)
    assert threading.active_count() == before + 1
    pieces.close()
    assert threading.active_count() == before


@PACKS
def test_a_layer_that_is_damaged_or_gone_is_named(cache, put_image, layer, item, pack):
    image = put_image([layer([item("a", BIG)])], pack=pack)
    nodes = image_tree(cache, image).nodes
    digest = image.layers[0].digest
    path = cache.blobs.path(digest)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(
        DamagedStreamError, match=f"layer {digest} of test/image:1.* ends too early"
    ):
        read_all(cache, image, nodes)
    path.unlink()
    with pytest.raises(BlobMissingError):
        read_all(cache, image, nodes)


def test_a_layer_shorter_than_its_index_is_refused(cache, put_image, layer, item):
    image = put_image([layer([item("a", BIG)])])
    nodes = image_tree(cache, image).nodes
    cache.blobs.path(image.layers[0].digest).write_bytes(gzip.compress(b"short"))
    with pytest.raises(DamagedStreamError, match="ends too early"):
        read_all(cache, image, nodes)


def test_a_layer_nobody_wants_is_not_opened(cache, put_image, layer, item):
    image = put_image([layer([item("a", b"1")]), layer([item("b", b"2")])])
    nodes = image_tree(cache, image).nodes
    cache.blobs.remove(image.layers[0].digest)
    assert read_all(cache, image, [nodes[1]]) == {"b": b"2"}


def test_a_link_that_became_a_file_has_its_content(cache, put_image, layer, item):
    lower = layer([item("a", b"text"), item("b", link="a")])
    image = put_image([lower, layer([item(".wh.a")])])
    assert read_all(cache, image, image_tree(cache, image).nodes) == {"b": b"text"}


def test_a_content_cannot_be_given_twice(cache, put_image, layer, item):
    image = put_image([layer([item("a", b"1")])])
    nodes = image_tree(cache, image).nodes
    with pytest.raises(ValueError, match="has passed"):
        read_all(cache, image, [*nodes, *nodes])
