import pytest

from sampan.oci import model
from sampan.oci.digest import Digest
from sampan.oci.model import Descriptor, ImageConfig, Index, Manifest, Platform
from sampan.oci.reference import Reference
from sampan.oci.transfer.selection import PlatformMissingError, select

REFERENCE = Reference.parse("web:1")
AMD64, ARM64, ARM7 = Platform("amd64"), Platform("arm64"), Platform("arm", variant="v7")


class Store(dict[Digest, bytes]):
    """Documents by digest, and who was asked for."""

    def __init__(self):
        self.read = []

    def __call__(self, descriptor):
        self.read.append(descriptor.digest)
        return self[descriptor.digest]

    def put(self, media_type, document, **fields):
        data = model.encode(document)
        self[Digest.of(data)] = data
        return Descriptor(media_type, Digest.of(data), len(data), **fields)

    def image(self, platform, *, said=True, kind=model.OCI_CONFIG, **fields):
        config = self.put(
            kind, ImageConfig(architecture=platform.architecture, variant=platform.variant)
        )
        layers = (layer("shared"), layer(str(platform)))
        fields = fields | ({"platform": platform} if said else {})
        return self.put(model.OCI_MANIFEST, Manifest(config=config, layers=layers), **fields)

    def statement(self, about):
        annotations = {
            model.REFERENCE_TYPE: "attestation-manifest",
            model.REFERENCE_DIGEST: str(about.digest),
        }
        manifest = Manifest(config=layer(f"config of {about.digest}"), layers=(layer("sbom"),))
        return self.put(
            model.OCI_MANIFEST, manifest, annotations=annotations,
            platform=Platform("unknown", "unknown"),
        )  # fmt: skip

    def index(self, *inner):
        return self.put(model.OCI_INDEX, Index(manifests=inner))


def layer(text):
    return Descriptor(model.OCI_LAYER, Digest.of(text.encode()), len(text))


@pytest.fixture
def store():
    return Store()


def taken(selection):
    return [descriptor.digest for descriptor, _ in selection.documents]


def test_only_the_wanted_platform_with_what_is_about_it(store):
    amd, arm = store.image(AMD64), store.image(ARM64)
    about_amd, about_arm = store.statement(amd), store.statement(arm)
    root = store.index(about_amd, amd, arm, about_arm)
    selection = select(REFERENCE, root, [AMD64], store)
    assert taken(selection) == [amd.digest, about_amd.digest, root.digest]
    assert arm.digest not in store.read
    assert layer("linux/amd64").digest in selection.blobs
    assert layer("sbom").digest in selection.blobs
    assert layer("linux/arm64").digest not in selection.blobs


def test_several_platforms_share_blobs(store):
    root = store.index(store.image(AMD64), store.image(ARM64), store.image(ARM7))
    selection = select(REFERENCE, root, [AMD64, ARM64], store)
    assert len(selection.documents) == 3
    assert len(selection.blobs) == 5  # two configs, two layers and the shared one


def test_no_platform_means_all(store):
    amd, arm = store.image(AMD64), store.image(ARM64)
    root = store.index(amd, arm, store.statement(amd), store.statement(arm))
    assert len(select(REFERENCE, root, [], store).documents) == 5


def test_a_missing_platform_lists_those_there_are(store):
    root = store.index(store.image(ARM64), store.image(AMD64), store.image(ARM7))
    with pytest.raises(PlatformMissingError) as caught:
        select(REFERENCE, root, [AMD64, Platform("s390x")], store)
    assert str(caught.value) == (
        "web:1 does not exist for linux/s390x; there is linux/amd64, linux/arm/v7, linux/arm64"
    )
    assert caught.value.hint == "name one of those with --platform, or an image that has yours"


def test_a_single_image_says_its_platform_in_its_config(store):
    root = store.image(ARM64, said=False)
    assert taken(select(REFERENCE, root, [ARM64], store)) == [root.digest]
    with pytest.raises(PlatformMissingError) as caught:
        select(REFERENCE, root, [AMD64], store)
    assert str(caught.value) == "web:1 does not exist for linux/amd64; there is linux/arm64"


def test_an_index_may_leave_that_to_the_configs(store):
    amd, arm = store.image(AMD64, said=False), store.image(ARM64, said=False)
    root = store.index(amd, arm)
    assert taken(select(REFERENCE, root, [ARM64], store)) == [arm.digest, root.digest]


def test_indexes_inside_indexes(store):
    arm = store.image(ARM64)
    inner = store.index(store.image(AMD64), arm)
    root = store.index(inner)
    assert taken(select(REFERENCE, root, [ARM64], store)) == [arm.digest, inner.digest, root.digest]


def test_what_is_no_image_is_passed_over(store):
    chart = store.image(AMD64, said=False, kind="application/vnd.test.chart+json")
    other = Descriptor("application/vnd.test", Digest.of(b"x"), 1)
    root = store.index(chart, other)
    with pytest.raises(PlatformMissingError) as caught:
        select(REFERENCE, root, [AMD64], store)
    assert str(caught.value) == "web:1 has nothing for any platform"
    assert caught.value.hint == "it is not an image to run: check the name"
    assert taken(select(REFERENCE, root, [], store)) == [chart.digest, root.digest]


def test_what_never_ends_is_refused(store):
    root = store.image(AMD64)
    for _ in range(4):
        root = store.index(root)
    with pytest.raises(model.InvalidDocumentError) as caught:
        select(REFERENCE, root, [], store)
    assert str(caught.value) == "image web:1: too many indexes inside one another"


def test_too_many_manifests_are_refused(store):
    config = store.put(model.OCI_CONFIG, ImageConfig(architecture="amd64"))
    inner = [
        store.put(model.OCI_MANIFEST, Manifest(config=config, annotations={"n": str(number)}))
        for number in range(1001)
    ]
    with pytest.raises(model.InvalidDocumentError) as caught:
        select(REFERENCE, store.index(*inner), [], store)
    assert str(caught.value) == "image web:1: more than 1000 manifests"


def test_a_damaged_document_is_named(store):
    digest = Digest.of(b"[]")
    store[digest] = b"[]"
    with pytest.raises(model.InvalidDocumentError) as caught:
        select(REFERENCE, Descriptor(model.OCI_MANIFEST, digest, 2), [], store)
    assert str(caught.value) == f"manifest {digest}: a manifest must be a JSON object"
