import io
import json
import tarfile

import pytest

from sampan.base.entry import Kind
from sampan.oci import model, tar
from sampan.oci.archive import export_archive
from sampan.oci.layout import ImageNotFoundError
from sampan.oci.model import Descriptor, Index, Platform
from sampan.oci.reference import Reference

REF = Reference.parse("test/image:1")
AMD64, ARM64 = Platform("amd64"), Platform("arm64")


@pytest.fixture
def two_platforms(cache, put_manifest, layer, item):
    made = [put_manifest(cache, [layer([item(str(p))])], platform=p) for p in (AMD64, ARM64)]
    data = model.encode(Index(manifests=tuple(made)))
    cache.tag(REF, Descriptor(model.OCI_INDEX, cache.put_blob(data), len(data)))


def export(cache, **options) -> tarfile.TarFile:
    stream = io.BytesIO()
    export_archive(cache, REF, stream, **options)
    again = io.BytesIO()
    export_archive(cache, REF, again, **options)
    assert again.getvalue() == stream.getvalue()
    stream.seek(0)
    return tarfile.open(fileobj=stream)


def load(archive, name):
    stream = archive.extractfile(name)
    assert stream is not None
    return json.load(stream)


@pytest.mark.usefixtures("two_platforms")
def test_a_layout_has_all_platforms_and_its_name(cache):
    with export(cache) as archive:
        (listed,) = load(archive, "index.json")["manifests"]
        assert listed["mediaType"] == model.OCI_INDEX
        assert listed["annotations"] == {
            "io.containerd.image.name": "docker.io/test/image:1",
            "org.opencontainers.image.ref.name": "docker.io/test/image:1",
        }
        blobs = [name for name in archive.getnames() if name.startswith("blobs/")]
        assert blobs == sorted(f"blobs/sha256/{digest.hex}" for digest in cache.blobs)
        assert load(archive, "oci-layout") == {"imageLayoutVersion": "1.0.0"}


@pytest.mark.usefixtures("two_platforms")
def test_a_layout_of_one_platform_is_marked_as_a_manifest(cache):
    with export(cache, platform=ARM64, name=Reference.parse("mine:3")) as archive:
        (listed,) = load(archive, "index.json")["manifests"]
        assert listed["mediaType"] == model.OCI_MANIFEST
        assert listed["platform"]["architecture"] == "arm64"
        assert listed["annotations"][model.REF_NAME] == "docker.io/library/mine:3"


def test_docker_gets_plain_layers_each_once(cache, put_image, layer, item):
    lower, upper = layer([item("a")]), layer([item("b")])
    image = put_image([lower, upper, lower])
    with export(cache, format="docker", platform=AMD64) as archive:
        (saved,) = load(archive, "manifest.json")
        assert saved["RepoTags"] == ["docker.io/test/image:1"]
        assert saved["Config"] == f"{image.manifest.config.digest.hex}.json"
        assert len(saved["Layers"]) == 3
        assert len(archive.getnames()) == 4
        content = archive.extractfile(saved["Layers"][1])
        assert content is not None
        assert content.read() == upper


def test_docker_gets_no_name_for_a_digest(cache, put_image):
    image = put_image([])
    name = Reference.parse(f"test/image@{image.digest}")
    with export(cache, format="docker", platform=AMD64, name=name) as archive:
        assert load(archive, "manifest.json")[0]["RepoTags"] == []


def test_a_filesystem_is_the_flattened_tree(cache, put_image, layer, item):
    lower = layer(
        [item("d/"), item("d/f", b"text"), item("gone"), item("l", link="d/f"), item("s", to="x")]
    )
    put_image([lower, layer([item("d/g/h", b"more"), item(".wh.gone")])])
    stream = io.BytesIO()
    export_archive(cache, REF, stream, format="filesystem", platform=AMD64)
    stream.seek(0)
    found = [(entry.name, entry.kind, content.read()) for entry, content in tar.read(stream)]
    assert found == [
        ("d", Kind.DIRECTORY, b""), ("d/g", Kind.DIRECTORY, b""), ("d/f", Kind.FILE, b"text"),
        ("d/g/h", Kind.FILE, b"more"), ("l", Kind.HARDLINK, b""), ("s", Kind.SYMLINK, b""),
    ]  # fmt: skip


@pytest.mark.parametrize("format_", ["oci", "docker", "filesystem"])
def test_what_is_not_there_cannot_be_exported(cache, format_):
    with pytest.raises(ImageNotFoundError, match="test/image:1 is not in the cache"):
        export(cache, format=format_)


@pytest.mark.usefixtures("two_platforms")
def test_a_platform_that_is_not_there_cannot_be_exported(cache):
    with pytest.raises(ImageNotFoundError, match="for linux/riscv64"):
        export(cache, platform=Platform("riscv64"))
