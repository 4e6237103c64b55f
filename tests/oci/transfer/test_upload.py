import pytest

from sampan.errors import UsageError
from sampan.oci import model, transfer
from sampan.oci.digest import Digest
from sampan.oci.layout import Cache, ImageNotFoundError
from sampan.oci.model import Descriptor, Index, Platform
from sampan.oci.reference import Reference
from sampan.oci.registry import AccessError
from sampan.oci.remote import Mirror, Remote
from sampan.oci.transfer.upload import IncompleteImageError

AMD64, ARM64 = Platform("amd64"), Platform("arm64")


@pytest.fixture
def push(cache, registry):
    def go(name="test/image:1", target=None, **options):
        reference = Reference.parse(name)
        where = Reference.parse(f"{registry.host}/{target or name}")
        options = {"sleep": lambda _: None} | options
        return transfer.push(cache, reference, target=where, **options)

    return go


@pytest.fixture
def put_index(cache, put_manifest):
    """An image for amd64 and arm64 in the cache; returns the descriptor of the index."""

    def make(name="test/image:1"):
        amd = put_manifest(cache, [b"amd", b"shared"])
        arm = put_manifest(cache, [b"arm", b"shared"], platform=ARM64)
        data = model.encode(Index(manifests=(amd, arm)))
        root = Descriptor(model.OCI_INDEX, cache.put_blob(data), len(data))
        cache.tag(Reference.parse(name), root)
        return root

    return make


def sent(registry):
    return [seen.path for seen in registry.seen if seen.method in {"PUT", "PATCH"}]


def test_an_image_is_sent(push, put_image, registry):
    image = put_image([b"one", b"two"])
    assert push().digest == image.digest
    media_type, data = registry.manifests["test/image"]["1"]
    assert Digest.of(data) == image.digest
    assert media_type == model.OCI_MANIFEST
    assert set(registry.blobs["test/image"]) == {
        image.manifest.config.digest,
        *(layer.digest for layer in image.layers),
    }


def test_an_index_is_sent_children_first(push, put_index, registry):
    root = put_index()
    push()
    manifests = [path for path in sent(registry) if "/manifests/" in path]
    assert len(manifests) == 3
    assert manifests[-1].endswith("/manifests/1")
    assert Digest.of(registry.manifests["test/image"]["1"][1]) == root.digest
    assert len(registry.blobs["test/image"]) == 5


def test_a_round_trip_gives_the_same(push, put_index, registry, tmp_path):
    root = put_index()
    push()
    other = Cache(tmp_path / "other")
    pulled = transfer.pull(other, Reference.parse(f"{registry.host}/test/image:1"))
    assert (pulled.digest, pulled.size, pulled.media_type) == (
        root.digest,
        root.size,
        root.media_type,
    )


def test_what_is_there_is_not_sent(push, put_index, registry):
    put_index()
    push()
    registry.seen.clear()
    push()
    assert [seen.method for seen in registry.seen] == ["GET", "HEAD"]
    push(target="test/image:2")
    assert [path.rpartition("/")[2] for path in sent(registry)] == ["2"]


def test_a_neighbour_has_the_blobs(push, put_index, cache, registry):
    root = put_index()
    push()
    cache.tag(Reference.parse(f"{registry.host}/test/image:1"), root)
    registry.seen.clear()
    push(target="other/name:1")
    assert not any("/blobs/" in path for path in sent(registry))
    assert len(registry.blobs["other/name"]) == 5


def test_the_name_is_the_target(cache, put_image, registry):
    name = f"{registry.host}/test/image"
    image = put_image([b"x"], f"{name}:latest")
    transfer.push(cache, Reference.parse(name))
    assert Digest.of(registry.manifests["test/image"]["latest"][1]) == image.digest


def test_by_digest(push, put_image, registry):
    image = put_image([b"x"])
    push(target=f"test/image@{image.digest}")
    assert image.digest in registry.manifests["test/image"]
    other = Digest.of(b"other")
    with pytest.raises(UsageError) as caught:
        push(target=f"test/image@{other}")
    assert str(caught.value) == f"test/image:1 has the digest {image.digest}, not {other}"


def test_not_in_the_cache(push):
    with pytest.raises(ImageNotFoundError) as caught:
        push("no/such:1")
    assert str(caught.value) == "no/such:1 is not in the cache"
    assert caught.value.hint == "sampan cache ls shows what is"


def test_a_part_of_an_index_is_nowhere(push, cache, put_manifest, registry):
    amd = put_manifest(cache, [b"amd"])
    arm = Descriptor(model.OCI_MANIFEST, Digest.of(b"arm"), 3, ARM64)
    data = model.encode(Index(manifests=(amd, arm)))
    root = Descriptor(model.OCI_INDEX, cache.put_blob(data), len(data))
    cache.tag(Reference.parse("test/image:1"), root)
    with pytest.raises(IncompleteImageError) as caught:
        push()
    assert str(caught.value) == (
        f"{registry.host}/test/image:1 cannot be pushed: of its index these are not in the cache: "
        "linux/arm64"
    )
    assert caught.value.hint == (
        "pull it for all platforms first: sampan cache pull --platform all"
    )
    assert sent(registry) == []
    registry.add("test/image", "arm", model.OCI_MANIFEST, b"arm")
    push()  # the registry has it
    assert "1" in registry.manifests["test/image"]


def test_no_right_to_push(push, put_image, registry):
    put_image([b"x"])
    registry.on("POST", "/uploads/", *[registry.error(403, "DENIED", "read only")] * 9)
    with pytest.raises(AccessError, match=r"wants a login for test/image@.* \(403\): read only"):
        push()
    assert "1" not in registry.manifests["test/image"]


def test_mirrors_get_nothing(push, put_image, registry, new_registry):
    mirror = new_registry()
    put_image([b"x"])
    push(remote=Remote(mirrors=(Mirror.parse(f"http://{mirror.host}"),)))
    assert mirror.seen == []
