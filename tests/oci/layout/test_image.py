import pytest

from sampan.oci import model
from sampan.oci.digest import Digest
from sampan.oci.layout import ImageNotFoundError
from sampan.oci.model import Descriptor, Index, InvalidDocumentError, Manifest, Platform
from sampan.oci.reference import Reference

REF = Reference.parse("test/many:1")
AMD64, ARM64 = Platform("amd64"), Platform("arm64")
ARM = {variant: Platform("arm", variant=variant) for variant in ("v6", "v7")}


@pytest.fixture
def put_index(cache):
    """Name an index of those descriptors."""

    def put(descriptors, *, tag=True, **fields) -> Descriptor:
        data = model.encode(Index(manifests=tuple(descriptors), **fields))
        descriptor = Descriptor(model.OCI_INDEX, cache.put_blob(data), len(data))
        if tag:
            cache.tag(REF, descriptor)
        return descriptor

    return put


def test_the_platform_is_chosen(cache, put_manifest, put_index, layer, item):
    made = {
        platform: put_manifest(cache, [layer([item(str(platform))])], platform=platform)
        for platform in (AMD64, ARM64, *ARM.values())
    }
    put_index(made.values())
    for platform, descriptor in made.items():
        image = cache.image(REF, platform)
        assert (image.digest, image.platform) == (descriptor.digest, platform)
        assert image.config.platform == platform
        assert len(image.layers) == 1
    assert cache.image(REF, Platform("arm")).platform == ARM["v7"]
    with pytest.raises(ImageNotFoundError) as caught:
        cache.image(REF, Platform("riscv64"))
    assert str(caught.value) == (
        "test/many:1 is not in the cache for linux/riscv64; "
        "there is linux/amd64, linux/arm/v6, linux/arm/v7, linux/arm64"
    )
    assert caught.value.hint == "sampan cache pull --platform linux/riscv64 test/many:1"


def test_platforms_that_were_not_pulled_are_not_there(cache, put_manifest, put_index):
    here = put_manifest(cache, [])
    put_index([here, Descriptor(model.OCI_MANIFEST, Digest.of(b"elsewhere"), 9, ARM64)])
    assert cache.image(REF, AMD64).digest == here.digest
    with pytest.raises(ImageNotFoundError, match="for linux/arm64; there is linux/amd64"):
        cache.image(REF, ARM64)


def test_without_platform_in_the_index_the_config_says_it(cache, put_manifest, put_index):
    descriptor = put_manifest(cache, [], platform=ARM64)
    put_index([Descriptor(model.OCI_MANIFEST, descriptor.digest, descriptor.size)])
    assert cache.image(REF, ARM64).platform == ARM64


def test_indexes_may_be_nested_but_not_for_ever(cache, put_manifest, put_index):
    descriptor = put_manifest(cache, [])
    put_index([put_index([descriptor], tag=False)])
    assert cache.image(REF, AMD64).digest == descriptor.digest
    for _ in range(5):
        descriptor = put_index([descriptor], tag=False)
    put_index([descriptor])
    with pytest.raises(InvalidDocumentError, match="too many indexes"):
        cache.image(REF, AMD64)


@pytest.fixture
def attestation(cache):
    """A manifest that says a statement about an image."""

    def put(about: Digest, statement: bytes, kind: str = "https://spdx.dev/Document") -> Descriptor:
        config = cache.put_blob(b"{}")
        layer = Descriptor(
            model.IN_TOTO, cache.put_blob(statement), len(statement),
            annotations={model.PREDICATE_TYPE: kind},
        )  # fmt: skip
        data = model.encode(
            Manifest(config=Descriptor(model.OCI_CONFIG, config, 2), layers=(layer,))
        )
        return Descriptor(
            model.OCI_MANIFEST, cache.put_blob(data), len(data), Platform("unknown", "unknown"),
            annotations={
                model.REFERENCE_TYPE: "attestation-manifest", model.REFERENCE_DIGEST: str(about),
            },
        )  # fmt: skip

    return put


def test_attestations_of_this_image_are_found(cache, put_manifest, put_index, attestation):
    one, two = put_manifest(cache, []), put_manifest(cache, [], platform=ARM64)
    put_index([
        one, two,
        attestation(one.digest, b'{"sbom": 1}'),
        attestation(one.digest, b'{"provenance": 1}', "https://slsa.dev/provenance/v1"),
        attestation(two.digest, b'{"sbom": 2}'),
    ])  # fmt: skip
    image = cache.image(REF, AMD64)
    assert list(image.attestations()) == [b'{"sbom": 1}', b'{"provenance": 1}']
    assert list(image.attestations("https://spdx.dev/Document")) == [b'{"sbom": 1}']


def test_an_image_without_index_has_none(put_image):
    assert list(put_image([]).attestations()) == []
