import pytest

from sampan.oci import layer as layer_module
from sampan.oci import model
from sampan.oci.digest import Digest, DigestMismatchError
from sampan.oci.limit import LimitError, Limits
from sampan.oci.model import (
    Descriptor,
    ImageConfig,
    InvalidDocumentError,
    Manifest,
    Platform,
    RootFs,
)
from sampan.oci.reference import Reference
from sampan.oci.tree import image_tree, layer_index

REF = Reference.parse("test/wrong:1")


def test_an_index_is_made_once_and_made_again_when_unreadable(
    cache, put_image, layer, item, monkeypatch
):
    image = put_image([layer([item("a", b"x"), item("\udcff", b"y")])])
    tree = image_tree(cache, image)
    assert [node.entry.name for node in tree.nodes] == ["a", "\udcff"]
    path = cache.layer_index_path(image.layers[0].digest)
    made = path.read_bytes()
    path.write_bytes(b"damaged")
    assert image_tree(cache, image) == tree
    assert path.read_bytes() == made
    monkeypatch.setattr(layer_module, "scan", None)  # from here on it is not called
    assert image_tree(cache, image) == tree


@pytest.fixture
def wrong(cache, layer, item):
    """An image whose config says something else than its layers are."""

    def put(*diff_ids):
        data = layer([item("a")])
        config = model.encode(ImageConfig(architecture="amd64", rootfs=RootFs(diff_ids=diff_ids)))
        manifest = model.encode(
            Manifest(
                config=Descriptor(model.OCI_CONFIG, cache.put_blob(config), len(config)),
                layers=(Descriptor(model.OCI_LAYER, cache.put_blob(data), len(data)),),
            )
        )
        cache.tag(REF, Descriptor(model.OCI_MANIFEST, cache.put_blob(manifest), len(manifest)))
        return cache.image(REF, Platform("amd64"))

    return put


def test_a_layer_that_the_config_does_not_name_is_refused(cache, wrong):
    image = wrong(Digest.of(b"other"))
    with pytest.raises(
        DigestMismatchError, match=r"layer .* of test/wrong:1, uncompressed, is damaged"
    ):
        image_tree(cache, image)


def test_config_and_manifest_must_have_as_many_layers(cache, wrong):
    with pytest.raises(InvalidDocumentError, match="it names 0 layers and the manifest 1"):
        image_tree(cache, wrong())


def test_limits_name_the_layer(cache, put_image, layer, item):
    image = put_image([layer([item("a"), item("b")])])
    digest = image.layers[0].digest
    with pytest.raises(LimitError, match=f"layer {digest}: more than 1 entries"):
        layer_index(cache, digest, limits=Limits(entries=1))
