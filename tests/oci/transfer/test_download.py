import socket
import threading

import pytest

from sampan.oci import model, transfer
from sampan.oci.digest import Digest, DigestMismatchError
from sampan.oci.layout.blob import BlobStore
from sampan.oci.model import Descriptor, Index, Platform
from sampan.oci.reference import Reference
from sampan.oci.registry import (
    AccessError,
    NotFoundError,
    RateLimitError,
    TlsError,
    UnreachableError,
)
from sampan.oci.remote import Login, Mirror, Remote

AMD64, ARM64 = Platform("amd64"), Platform("arm64")
LAYERS = (b"one" * 1000, b"two" * 1000)


class Watcher:
    def __init__(self):
        self.labels = []
        self.notes = []
        self.failed = []

    def start(self, label, total):
        self.labels.append(label)
        return self

    def advance(self, amount):
        pass

    def finish(self, task, *, failed):
        self.failed.append(failed)

    def note(self, message):
        self.notes.append(message)


@pytest.fixture
def watcher():
    return Watcher()


@pytest.fixture
def pull(cache, watcher):
    def go(registry, name="test/image:1", **options):
        host = registry if isinstance(registry, str) else registry.host
        reference = Reference.parse(f"{host}/{name}")
        options = {"platforms": [AMD64], "progress": watcher, "sleep": lambda _: None} | options
        return transfer.pull(cache, reference, **options)

    return go


@pytest.fixture
def publish_index(registry, publish, put_manifest):
    """An image for amd64 and arm64 in the registry; returns the index."""

    def make():
        origin, amd = publish(registry, LAYERS, tag="amd64")
        arm = put_manifest(origin, [b"arm"], platform=ARM64)
        for digest in origin.blobs:
            registry.blobs["test/image"][digest] = origin.read_blob(digest, 1 << 30)
        registry.add("test/image", arm.digest, arm.media_type, origin.read_blob(arm.digest))
        data = model.encode(Index(manifests=(amd, arm)))
        registry.add("test/image", "1", model.OCI_INDEX, data)
        return Descriptor(model.OCI_INDEX, Digest.of(data), len(data)), amd, arm

    return make


def reference(registry, name="test/image:1"):
    return Reference.parse(f"{registry.host}/{name}")


def manifest_of(registry):
    return model.decode(registry.manifests["test/image"]["1"][1], model.Manifest, "manifest")


def test_an_image_arrives(pull, publish, registry, cache, watcher):
    _, root = publish(registry, LAYERS)
    assert pull(registry).digest == root.digest
    image = cache.image(reference(registry), AMD64)
    assert image.digest == root.digest
    assert all(cache.has_blob(layer.digest) for layer in image.layers)
    assert sorted(watcher.labels) == sorted(
        f"{registry.host}/test/image:1 {blob.digest.short}"
        for blob in (image.manifest.config, *image.layers)
    )
    assert watcher.failed == [False] * 3


def test_what_is_there_is_not_copied(pull, publish, registry):
    publish(registry, LAYERS)
    pull(registry)
    registry.seen.clear()
    pull(registry)
    assert [(seen.method, seen.path) for seen in registry.seen] == [
        ("GET", "/v2/"),
        ("HEAD", "/v2/test/image/manifests/1"),
    ]


@pytest.mark.parametrize("part", ["manifest", "config", "layer"])
def test_what_rotted_on_disk_is_pulled_again(pull, publish, registry, cache, part):
    _, root = publish(registry, LAYERS)
    pull(registry)
    image = cache.image(reference(registry), AMD64)
    lost = {
        "manifest": root.digest,
        "config": image.manifest.config.digest,
        "layer": image.layers[0].digest,
    }[part]
    path = cache.blobs.path(lost)
    good = path.read_bytes()
    path.write_bytes(b"x" + good[1:])
    cache.blobs = BlobStore(cache.root / "blobs")  # as another process has it
    pull(registry)
    assert path.read_bytes() == good


def test_without_a_tag_it_is_the_latest(pull, publish, registry, cache):
    publish(registry, LAYERS, tag="latest")
    pull(registry, "test/image")
    assert cache.find(reference(registry, "test/image:latest")) is not None


def test_an_image_by_digest(pull, publish, registry, cache):
    _, root = publish(registry, LAYERS)
    pull(registry, f"test/image@{root.digest}")
    assert cache.find(reference(registry, f"test/image@{root.digest}")) is not None
    registry.seen.clear()
    pull(registry, f"test/image@{root.digest}")
    assert registry.seen == []  # nothing to ask


def test_a_digest_that_the_registry_does_not_keep(pull, publish, registry, cache):
    publish(registry, LAYERS)
    other = Digest.of(b"other")
    registry.manifests["test/image"][other] = registry.manifests["test/image"]["1"]
    registry.on("GET", f"/manifests/{other}", registry.reply(200, b"evil"))
    with pytest.raises(DigestMismatchError):
        pull(registry, f"test/image@{other}")
    assert cache.entries() == []


def test_only_the_wanted_platform(pull, publish_index, registry, cache):
    root, amd, arm = publish_index()
    assert pull(registry) == root
    assert cache.image(reference(registry), AMD64).digest == amd.digest
    assert not cache.has_blob(arm.digest)
    pull(registry, platforms=[ARM64])  # the other one comes beside it
    assert cache.image(reference(registry), ARM64).digest == arm.digest
    assert cache.image(reference(registry), AMD64).digest == amd.digest


def test_every_platform(pull, publish_index, registry, cache):
    publish_index()
    pull(registry, platforms=[])
    assert cache.image(reference(registry), AMD64)
    assert cache.image(reference(registry), ARM64)


def test_a_platform_that_is_not_there(pull, publish_index, registry, cache):
    publish_index()
    with pytest.raises(transfer.PlatformMissingError) as caught:
        pull(registry, platforms=[Platform("riscv64")])
    assert str(caught.value) == (
        f"{registry.host}/test/image:1 does not exist for linux/riscv64; "
        "there is linux/amd64, linux/arm64"
    )
    assert list(cache.blobs) == []


def test_a_tag_that_moved(pull, publish, registry, cache):
    publish(registry, LAYERS)
    pull(registry)
    _, second = publish(registry, [b"new"])
    assert pull(registry).digest == second.digest
    assert cache.image(reference(registry), AMD64).digest == second.digest


def test_after_a_failure_the_rest_is_fetched(pull, publish, registry, cache):
    _, root = publish(registry, LAYERS)
    manifest = manifest_of(registry)
    bad = manifest.layers[1].digest
    registry.on("GET", f"/blobs/{bad}", *[registry.reply(404)])
    with pytest.raises(NotFoundError):
        pull(registry)
    assert cache.entries() == []
    assert not cache.has_blob(root.digest)  # a manifest promises its blobs
    pull(registry)
    asked = [path for path in registry.paths("GET") if path.endswith(manifest.config.digest)]
    assert len(asked) == 1
    assert cache.image(reference(registry), AMD64)


def test_a_wrong_layer_keeps_nothing(pull, publish, registry, cache, watcher):
    publish(registry, [b"layer"])
    manifest = manifest_of(registry)
    [layer] = manifest.layers
    evil = bytes(layer.size)
    registry.blobs["test/image"][layer.digest] = evil
    with pytest.raises(DigestMismatchError) as caught:
        pull(registry)
    assert str(caught.value) == (
        f"blob {layer.digest.short} of test/image at {registry.host} is damaged: "
        f"expected {layer.digest}, got {Digest.of(evil)}"
    )
    assert cache.entries() == []
    assert not cache.has_blob(layer.digest)
    assert True in watcher.failed


def test_a_config_that_is_too_large(pull, registry, cache):
    config = Descriptor(model.OCI_CONFIG, Digest.of(b"x"), 1 << 40)
    data = model.encode(model.Manifest(config=config))
    registry.add("test/image", "1", model.OCI_MANIFEST, data)
    with pytest.raises(model.InvalidDocumentError) as caught:
        pull(registry)
    assert str(caught.value) == f"config {config.digest}: it has more than 4 MiB"


def test_no_such_image(pull, registry, cache):
    with pytest.raises(NotFoundError) as caught:
        pull(registry, "no/such:tag")
    assert str(caught.value) == f"{registry.host} has no no/such:tag: manifest unknown"
    assert caught.value.hint == "check the name and the tag"


def test_nobody_there(pull):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(UnreachableError) as caught:
            pull(host)
    assert str(caught.value) == f"cannot reach registry {host}: Connection refused"


def test_a_login_is_wanted(pull, publish, registry):
    publish(registry, LAYERS)
    registry.bearer = True
    registry.login = ("me", "secret")
    with pytest.raises(AccessError) as caught:
        pull(registry)
    assert str(caught.value) == (
        f"{registry.host} wants a login for test/image (401): incorrect username or password"
    )


def test_one_token_serves_all_threads(pull, publish, registry):
    publish(registry, [bytes([number]) * 100 for number in range(12)])
    registry.bearer = True
    pull(registry)
    assert len(registry.tokens) == 1


def test_the_limit_is_reached(pull, publish, registry):
    publish(registry, LAYERS)
    registry.on("HEAD", "/manifests/", *[registry.reply(429)] * 5)
    with pytest.raises(RateLimitError) as caught:
        pull(registry)
    assert caught.value.hint == (
        f"come back later, log in for a higher limit (docker login {registry.host}), "
        "or name a --mirror"
    )


def test_an_authority_nobody_knows(pull, publish, tls_registry, authority, cache):
    publish(tls_registry, LAYERS)
    with pytest.raises(TlsError) as caught:
        pull(tls_registry)
    assert caught.value.hint == "if the registry is yours, name its CA: --cert-file CA.pem"
    pull(tls_registry, remote=Remote(certificates=(authority,)))
    assert cache.entries()


def test_a_mirror_goes_first(pull, publish, registry, new_registry, cache):
    mirror = new_registry()
    _, root = publish(mirror, LAYERS, repository="library/web")
    remote = Remote(mirrors=(Mirror.parse(f"docker.io=http://{mirror.host}"),))
    assert pull("docker.io", "web:1", remote=remote).digest == root.digest
    assert cache.find(Reference.parse("web:1")) is not None


def test_a_mirror_without_the_image_is_passed_over(pull, publish, registry, new_registry, watcher):
    mirror = new_registry()
    publish(registry, LAYERS)
    remote = Remote(mirrors=(Mirror.parse(f"http://{mirror.host}"),))
    pull(registry, remote=remote)
    assert watcher.notes[0] == (
        f"mirror {mirror.host}: {mirror.host} has no test/image:1: manifest unknown; "
        "going on without it"
    )


def test_a_mirror_that_is_down_is_asked_once(pull, publish, registry, new_registry, watcher):
    mirror = new_registry()
    publish(registry, LAYERS)
    mirror.on("HEAD", "", *[mirror.reply(403)] * 99)
    pull(registry, remote=Remote(mirrors=(Mirror.parse(f"http://{mirror.host}"),)))
    assert len(mirror.seen) == 1
    assert len(watcher.notes) == 1


def test_a_mirror_with_a_bad_blob_is_left(pull, publish, registry, new_registry, cache):
    mirror = new_registry()
    publish(registry, [b"layer"])
    publish(mirror, [b"layer"])
    manifest = manifest_of(mirror)
    [layer] = manifest.layers
    mirror.blobs["test/image"][layer.digest] = bytes(layer.size)
    pull(registry, remote=Remote(mirrors=(Mirror.parse(f"http://{mirror.host}"),)))
    assert cache.has_blob(layer.digest)


def test_a_mirror_does_not_get_the_login_of_the_registry(pull, publish, registry, new_registry):
    mirror = new_registry()
    publish(registry, LAYERS)
    registry.login = mirror.login = ("me", "secret")
    remote = Remote(
        mirrors=(Mirror.parse(f"http://{mirror.host}"),),
        logins=(Login(registry.host, "me", "secret"),),
    )
    pull(registry, remote=remote)
    assert all("authorization" not in seen.headers for seen in mirror.seen)


def test_two_pulls_at_once_fetch_each_blob_once(publish, registry, cache):
    publish(registry, [bytes([number]) * 5000 for number in range(8)])
    failures: list[BaseException] = []

    def run():
        try:
            transfer.pull(cache, reference(registry), platforms=[AMD64])
        except BaseException as error:  # noqa: BLE001  a thread must not die unseen
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    fetched = [path for path in registry.paths("GET") if "/blobs/" in path]
    assert len(fetched) == len(set(fetched)) == 9
