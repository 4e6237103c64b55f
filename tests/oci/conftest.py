"""Images made by hand: what the tests of this package put into a cache."""

import gzip
import io
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from sampan.base.entry import Entry, Kind
from sampan.oci import model
from sampan.oci.digest import Digest
from sampan.oci.layout import Cache, Image
from sampan.oci.model import Descriptor, ImageConfig, Manifest, Platform, RootFs
from sampan.oci.reference import Reference
from sampan.oci.tar import Writer

Item = tuple[Entry, bytes]
AMD64 = Platform("amd64")


def make_layer(items: Iterable[Item]) -> bytes:
    stream = io.BytesIO()
    with Writer(stream) as writer:
        for entry, content in items:
            writer.add(entry, [content])
    return stream.getvalue()


@pytest.fixture(scope="session")
def layer() -> Callable[[Iterable[Item]], bytes]:
    """The uncompressed archive of some entries with their contents."""
    return make_layer


@pytest.fixture(scope="session")
def item() -> Callable[..., Item]:
    """An entry with its content: `item("a/b", b"text")`, `item("d/")`, `item("l", to="a")`."""

    def make(name: str, content: bytes = b"", *, to: str = "", link: str = "", **fields) -> Item:
        if to:
            return Entry(name, Kind.SYMLINK, 0o777, target=to, **fields), b""
        if link:
            return Entry(name, Kind.HARDLINK, 0o644, target=link, **fields), b""
        if name.endswith("/"):
            return Entry(name.rstrip("/"), Kind.DIRECTORY, 0o755, **fields), b""
        fields = {"mode": 0o644} | fields
        return Entry(name, Kind.FILE, size=len(content), **fields), content

    return make


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture(scope="session")
def put_manifest() -> Callable[..., Descriptor]:
    """Put an image of those uncompressed layers into a cache, without a name."""

    def put(
        cache: Cache,
        layers: Iterable[bytes],
        *,
        pack: Callable[[bytes], bytes] = lambda data: gzip.compress(data, mtime=0),
        platform: Platform = AMD64,
    ) -> Descriptor:
        layers = tuple(layers)
        packed = [pack(data) for data in layers]
        config = model.encode(
            ImageConfig(
                architecture=platform.architecture,
                os=platform.os,
                variant=platform.variant,
                rootfs=RootFs(diff_ids=tuple(map(Digest.of, layers))),
            )
        )
        manifest = model.encode(
            Manifest(
                config=Descriptor(model.OCI_CONFIG, cache.put_blob(config), len(config)),
                layers=tuple(
                    Descriptor(model.OCI_LAYER_GZIP, cache.put_blob(data), len(data))
                    for data in packed
                ),
            )
        )
        digest = cache.put_blob(manifest)
        return Descriptor(model.OCI_MANIFEST, digest, len(manifest), platform)

    return put


@pytest.fixture
def put_image(cache: Cache, put_manifest: Callable[..., Descriptor]) -> Callable[..., Image]:
    """Put an image into the cache under a name."""

    def put(layers: Iterable[bytes], name: str = "test/image:1", **options) -> Image:
        reference = Reference.parse(name)
        cache.tag(reference, put_manifest(cache, layers, **options))
        return cache.image(reference, options.get("platform", AMD64))

    return put
