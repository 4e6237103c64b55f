"""Images made of a few lines, and a cache to put them into."""

import gzip
import hashlib
import io

import pytest

from sampan.base.entry import Entry, Kind
from sampan.image.step import Ingredient
from sampan.oci import model, tar
from sampan.oci.digest import Digest
from sampan.oci.layout import Cache
from sampan.oci.model import ContainerConfig, Descriptor, ImageConfig, Manifest, Platform, RootFs
from sampan.oci.reference import Reference
from sampan.oci.tree import Node, Tree

TIME = 1_600_000_000 * 10**9
AMD64 = Platform("amd64")


def entries_of(listing):
    """`{"bin/": None, "bin/sh": "-> busybox", "bin/ln": "= bin/sh", "f": b"…"}` → entries."""
    for name, what in listing.items():
        if isinstance(what, Entry):
            yield what, b""
        elif what is None:
            yield Entry(name.rstrip("/"), Kind.DIRECTORY, 0o755, mtime_ns=TIME), b""
        elif isinstance(what, bytes):
            yield Entry(name, Kind.FILE, 0o644, mtime_ns=TIME, size=len(what)), what
        elif what.startswith("-> "):
            yield Entry(name, Kind.SYMLINK, 0o777, mtime_ns=TIME, target=what[3:]), b""
        else:
            yield Entry(name, Kind.HARDLINK, 0o644, mtime_ns=TIME, target=what[2:]), b""


def tar_of(listing):
    stream = io.BytesIO()
    with tar.Writer(stream) as writer:
        for entry, content in entries_of(listing):
            writer.add(entry, [content])
    return stream.getvalue()


def tree_of(listing):
    nodes = []
    for number, (entry, content) in enumerate(entries_of(listing)):
        digest = hashlib.sha256(content).digest() if entry.kind is Kind.FILE else b""
        nodes.append(Node(entry, 0, number * 1000, digest))
    return Tree(tuple(nodes))


@pytest.fixture(name="ingredient")
def make_ingredient():
    """A function: name and listing → an ingredient without contents."""

    def make(name, listing, **keys):
        return Ingredient(name, f"identity of {name} {sorted(listing)}", tree_of(listing), **keys)

    return make


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


@pytest.fixture
def add_image(cache):
    """A function that puts an image of some layers into the cache."""

    def add(name, *listings, config=None, architecture="amd64", tag=True):
        layers, diff_ids = [], []
        for listing in listings:
            plain = tar_of(listing)
            packed = gzip.compress(plain, mtime=0)
            digest = cache.put_blob(packed)
            layers.append(Descriptor(model.OCI_LAYER_GZIP, digest, len(packed)))
            diff_ids.append(Digest.of(plain))
        image = ImageConfig(
            architecture=architecture, os="linux",
            config=config or ContainerConfig(cmd=("/app",)),
            rootfs=RootFs(diff_ids=tuple(diff_ids)),
        )  # fmt: skip
        data = model.encode(image)
        described = Descriptor(model.OCI_CONFIG, cache.put_blob(data), len(data))
        data = model.encode(Manifest(config=described, layers=tuple(layers)))
        manifest = Descriptor(model.OCI_MANIFEST, cache.put_blob(data), len(data))
        if tag:
            cache.tag(Reference.parse(name), manifest)
        return manifest

    return add


@pytest.fixture
def tar_bytes():
    return tar_of
