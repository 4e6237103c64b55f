import errno
import io
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import pytest

from sampan.errors import SampanError, UsageError
from sampan.oci import model
from sampan.oci.digest import Digest
from sampan.oci.layout import BlobMissingError, Cache, CacheBusyError, ImageNotFoundError
from sampan.oci.layout.cache import ReadOnlyCacheError
from sampan.oci.model import Descriptor, Platform
from sampan.oci.reference import Reference
from sampan.oci.tree import layer_index

ONE, TWO = Reference.parse("test/one:1"), Reference.parse("test/two:1")
AMD64 = Platform("amd64")


def test_a_new_cache_is_an_image_layout(cache):
    assert json.loads((cache.root / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((cache.root / "index.json").read_bytes())
    assert (index["schemaVersion"], index["manifests"]) == (2, [])
    assert cache.entries() == []
    assert Cache(cache.root).entries() == []


def test_a_name_leads_to_its_image_and_moves(cache, put_manifest, layer, item):
    first = put_manifest(cache, [layer([item("a")])])
    second = put_manifest(cache, [layer([item("b")])])
    cache.tag(ONE, first)
    cache.tag(TWO, first)
    cache.tag(ONE, second)
    found = cache.find(ONE)
    assert found is not None
    assert (found.digest, found.annotations) == (
        second.digest, {"org.opencontainers.image.ref.name": "docker.io/test/one:1"},
    )  # fmt: skip
    assert [entry.reference for entry in cache.entries()] == [ONE, TWO]
    assert cache.entries()[0].size == sum(
        cache.blobs.size(digest)
        for digest in (second.digest, *(d.digest for d in cache.image(ONE, AMD64).layers),
                       cache.image(ONE, AMD64).manifest.config.digest)
    )  # fmt: skip


def test_names_are_found_as_people_write_them(cache, put_manifest):
    descriptor = put_manifest(cache, [])
    cache.tag(Reference.parse("nginx:latest"), descriptor)
    for text in ("nginx", "docker.io/library/nginx", f"nginx@{descriptor.digest}"):
        assert cache.find(Reference.parse(text)) is not None
    for text in ("nginx:1", "ngin", f"other@{descriptor.digest}", f"nginx@{Digest.of(b'')}"):
        assert cache.find(Reference.parse(text)) is None


def test_an_unknown_image_is_named_with_what_to_do(cache):
    for ask in (lambda: cache.image(ONE, AMD64), lambda: cache.remove(ONE)):
        with pytest.raises(ImageNotFoundError, match=r"^test/one:1 is not in the cache$") as caught:
            ask()
        assert caught.value.hint == "sampan cache pull test/one:1"


def test_an_image_with_a_missing_blob_gets_no_name(cache, put_manifest, layer, item):
    descriptor = put_manifest(cache, [layer([item("a")])])
    cache.tag(ONE, descriptor)
    cache.blobs.remove(cache.image(ONE, AMD64).layers[0].digest)
    with pytest.raises(BlobMissingError):
        cache.tag(TWO, descriptor)
    assert cache.find(TWO) is None


def test_removing_leaves_what_others_use(cache, put_image, layer, item):
    shared = layer([item("shared", b"x" * 1000)])
    one = put_image([shared, layer([item("one")])], "test/one:1")
    two = put_image([shared, layer([item("two")])], "test/two:1")
    layer_index(cache, one.layers[1].digest)
    freed = cache.remove(ONE)
    assert freed > 0
    for image, there in ((one, False), (two, True)):
        own = (image.digest, image.manifest.config.digest, image.layers[1].digest)
        assert [cache.has_blob(digest) for digest in own] == [there] * 3
    assert cache.has_blob(one.layers[0].digest)
    assert not cache.layer_index_path(one.layers[1].digest).exists()
    assert cache.remove(TWO) > 0
    assert list(cache.blobs) == []


def test_two_names_of_one_image(cache, put_manifest):
    descriptor = put_manifest(cache, [])
    cache.tag(ONE, descriptor)
    cache.tag(TWO, descriptor)
    assert cache.remove(ONE) == 0
    assert cache.image(TWO, AMD64).digest == descriptor.digest


def test_nothing_is_removed_while_somebody_adds(cache, put_image):
    put_image([], "test/one:1")
    with Cache(cache.root).adding():
        assert cache.remove(ONE) == 0
        with pytest.raises(CacheBusyError, match="is being added to"):
            cache.clean()
    assert cache.find(ONE) is None
    assert len(list(cache.blobs)) == 2
    assert cache.clean(images=False) > 0
    assert list(cache.blobs) == []


def test_clean_removes_leftovers_and_if_asked_images(cache, put_image):
    put_image([], "test/one:1")
    orphan = cache.put_blob(b"orphan")
    with cache.partial(Digest.of(b"never")) as slot:
        slot.append(b"abc")
    (cache.root / "blobs/sha256/.tmp-sampan-1").write_bytes(b"12")
    (cache.root / ".tmp-sampan-2").write_bytes(b"1")
    assert cache.clean(images=False) == len(b"orphan") + 3 + 2 + 1
    assert not cache.has_blob(orphan)
    assert cache.find(ONE) is not None
    assert cache.clean() > 0
    assert cache.entries() == []
    assert list(cache.blobs) == []


def test_a_damaged_image_can_be_removed(cache, put_manifest):
    descriptor = put_manifest(cache, [])
    cache.tag(ONE, descriptor)
    cache.blobs.path(descriptor.digest).write_bytes(b"damaged")
    cache.remove(ONE)
    assert cache.entries() == []
    assert not cache.has_blob(descriptor.digest)


def test_the_only_image_of_a_name_can_be_removed_without_its_tag(cache, put_manifest):
    descriptor = put_manifest(cache, [])
    cache.tag(Reference.parse("test/x:1"), descriptor)
    cache.tag(Reference.parse("test/x:2"), descriptor)
    with pytest.raises(UsageError, match="test/x is the name of 2 images") as caught:
        cache.remove(Reference.parse("test/x"))
    assert caught.value.hint == "say which: test/x:1, test/x:2"
    with pytest.raises(ImageNotFoundError):
        cache.remove(Reference.parse("test/x:3"))
    cache.remove(Reference.parse("test/x:2"))
    cache.remove(Reference.parse("test/x"))
    assert cache.entries() == []
    with pytest.raises(ImageNotFoundError):
        cache.remove(Reference.parse("test/x"))


def test_a_broken_list_of_images_can_be_cleaned(cache, put_manifest):
    cache.tag(ONE, put_manifest(cache, []))
    (cache.root / "index.json").write_bytes(b'{"manif')
    with pytest.raises(SampanError, match=r"index\.json") as caught:
        cache.find(ONE)
    assert caught.value.hint == "to begin anew, without the images: sampan cache clean"
    assert Cache(cache.root).clean() > 0
    assert cache.entries() == []
    assert list(cache.blobs) == []


def test_clean_removes_folders_of_others_only_when_nobody_builds(cache):
    (cache.root / "steps/deep").mkdir(parents=True)
    (cache.root / "steps/deep/a").write_bytes(b"12345")
    with cache.adding(), pytest.raises(CacheBusyError):
        cache.clean(folders=["steps", "apt"])
    assert (cache.root / "steps/deep/a").exists()
    assert cache.clean(folders=["steps", "apt"]) == 5
    assert not (cache.root / "steps").exists()


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_cache_that_cannot_be_written(cache, put_manifest, tmp_path, monkeypatch, number):
    cache.tag(ONE, put_manifest(cache, []))
    opened = os.open

    def refuse(path, flags, *args, **keys):
        if flags & (os.O_RDWR | os.O_CREAT):
            raise OSError(number, os.strerror(number), str(path))
        return opened(path, flags, *args, **keys)

    monkeypatch.setattr(os, "open", refuse)
    assert len(Cache(cache.root).entries()) == 1
    for attempt in (
        lambda: cache.put_blob(b"new"),
        lambda: cache.remove(ONE),
        cache.clean,
        lambda: Cache(tmp_path / "new"),
    ):
        with pytest.raises(ReadOnlyCacheError, match="cannot be written: ") as caught:
            attempt()
        assert "--cache FOLDER" in (caught.value.hint or "")


def test_an_image_is_whole_when_all_its_blobs_are_there(cache, put_image, layer, item):
    image = put_image([layer([item("a", b"1")])])
    descriptor = cache.find(image.reference)
    assert cache.is_whole(descriptor)
    path = cache.blobs.path(image.layers[0].digest)
    path.rename(path.with_name("away"))
    assert not cache.is_whole(descriptor)
    path.with_name("away").rename(path)
    cache.blobs.path(image.digest).write_bytes(b"x")
    assert not cache.is_whole(descriptor)


def test_many_may_name_images_at_once(cache, put_manifest):
    descriptor = put_manifest(cache, [])
    names = [Reference.parse(f"test/n{number}") for number in range(24)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda name: Cache(cache.root).tag(name, descriptor), names))
    assert {entry.reference for entry in cache.entries()} == set(names)


ADDER = textwrap.dedent("""
    import sys, hashlib, itertools
    from pathlib import Path
    from sampan.oci import model
    from sampan.oci.layout import Cache
    from sampan.oci.model import Descriptor, ImageConfig, Manifest, RootFs
    from sampan.oci.digest import Digest
    from sampan.oci.reference import Reference

    cache = Cache(Path(sys.argv[1]))
    print("ready", flush=True)
    for number in itertools.count():
        with cache.adding():
            data = f"{sys.argv[2]} {number % 7}".encode() * 20000
            config = model.encode(ImageConfig(rootfs=RootFs(diff_ids=(Digest.of(data),))))
            manifest = model.encode(Manifest(
                config=Descriptor(model.OCI_CONFIG, cache.put_blob(config), len(config)),
                layers=(Descriptor(model.OCI_LAYER, cache.put_blob(data), len(data)),)))
            top = Descriptor(model.OCI_MANIFEST, cache.put_blob(manifest), len(manifest))
            cache.tag(Reference.parse(f"test/x:{number % 5}"), top)
        if number % 3 == 2:
            cache.remove(Reference.parse(f"test/x:{number % 5}")) if int(sys.argv[2]) else None
""")


def check(cache: Cache) -> None:
    """Every name leads to blobs that are all there and all what their digests say."""
    for digest in cache.blobs:
        assert Digest.of(cache.read_blob(digest)) == digest
    for entry in cache.entries():
        manifest = model.decode(cache.read_blob(entry.descriptor.digest), model.Manifest, "it")
        for descriptor in (manifest.config, *manifest.layers):
            assert cache.blobs.size(descriptor.digest) == descriptor.size


@pytest.mark.slow
def test_a_process_killed_at_any_moment_leaves_a_usable_cache(tmp_path):
    dice = random.Random(7)
    root = tmp_path / "cache"
    for turn in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", ADDER, str(root), str(turn % 2)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        # how long it lives is the random point at which it dies; nothing waits for it
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(dice.uniform(0.0, 0.15))
        process.send_signal(signal.SIGKILL)
        process.stdout.close()
        process.wait()
        check(Cache(root))
    cache = Cache(root)
    cache.clean(images=False)
    check(cache)
    assert not list(root.rglob(".tmp-*"))
    data = cache.put_blob(b"still works")
    cache.tag(ONE, Descriptor("text/plain", data, 11))


@pytest.mark.slow
def test_two_processes_add_and_remove_at_once(tmp_path):
    root = tmp_path / "cache"
    Cache(root)
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", ADDER, str(root), number],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for number in ("0", "0")
    ]  # fmt: skip
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"ready\n"
    cache = Cache(root)
    for number in range(60):
        if cache.find(name := Reference.parse(f"test/x:{number % 5}")) is not None:
            cache.remove(name)
    for worker in workers:
        assert worker.poll() is None, worker.stderr
        worker.kill()
        worker.communicate()
    check(cache)


def test_putting_a_stream_reports_its_progress(cache):
    class Watcher:
        def __init__(self):
            self.said = []

        def start(self, label, total):
            self.said.append((label, total))
            return self

        def advance(self, amount):
            self.said.append(amount)

        def finish(self, task, *, failed):
            self.said.append(failed)

        def note(self, message):
            self.said.append(message)

    data = b"x" * 1_500_000
    digest, watcher = Digest.of(data), Watcher()
    cache.put_blob(io.BytesIO(data), Descriptor("text/plain", digest, len(data)), watcher)
    assert watcher.said == [(digest.short, len(data)), 1 << 20, len(data) - (1 << 20), False]
    assert cache.put_blob(io.BytesIO(data), digest) == digest
    assert cache.put_blob(io.BytesIO(b"new")) == Digest.of(b"new")


def test_two_platforms_are_two_images(cache, put_manifest):
    made = [put_manifest(cache, [], platform=Platform(name)) for name in ("amd64", "arm64")]
    data = model.encode(model.Index(manifests=tuple(made)))
    cache.tag(ONE, Descriptor(model.OCI_INDEX, cache.put_blob(data), len(data)))
    assert [str(image.platform) for image in cache.images(ONE)] == ["linux/amd64", "linux/arm64"]
