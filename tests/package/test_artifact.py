import json

import pytest

from sampan.oci import model
from sampan.oci.compression import open_decompressed
from sampan.oci.digest import Digest
from sampan.oci.layout import Cache
from sampan.oci.model import Platform
from sampan.oci.reference import Reference
from sampan.package import artifact
from sampan.package.composer import Composition, Installed
from sampan.package.recipe import Debian

NAME = Reference.parse("sampan/x:1")
INSTALLED = Installed("base", "1", "amd64", "base", "", "", "ab" * 32)
DEBIAN = Debian(entrypoint=("/bin/x",), cmd=("-v",), workdir="/srv", user="33")


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


def write(cache, stage, **labels):
    stage.add_file("bin/x", b"content", mode=0o755)
    return artifact.write_image(
        cache,
        Composition(stage, (INSTALLED,), 86400),
        DEBIAN,
        platform=Platform("amd64"),
        labels=labels,
        name="sampan/x:1",
    )


def test_an_image_can_be_found_and_read(cache, stage):
    artifact.publish(cache, NAME, write(cache, stage, b="2", a="1"))
    image = cache.image(NAME, Platform("amd64"))
    assert image.config.config == model.ContainerConfig(
        entrypoint=("/bin/x",),
        cmd=("-v",),
        env=DEBIAN.env,
        working_dir="/srv",
        user="33",
        labels={"a": "1", "b": "2"},
    )
    assert image.config.created == "1970-01-02T00:00:00Z"
    [layer] = image.layers
    assert layer.media_type == model.OCI_LAYER_ZSTD
    with cache.open_blob(layer.digest) as stream:
        plain = open_decompressed(stream).read()
    assert (Digest.of(plain),) == image.config.rootfs.diff_ids
    assert cache.blobs.size(layer.digest) == layer.size


def test_the_sbom_is_attached(cache, stage):
    manifest, attestation = write(cache, stage)
    artifact.publish(cache, NAME, [manifest, attestation])
    image = cache.image(NAME, Platform("amd64"))
    [statement] = image.attestations("https://spdx.dev/Document")
    found = json.loads(statement)
    assert found["subject"][0]["digest"]["sha256"] == image.digest.hex
    assert [p["name"] for p in found["predicate"]["packages"]] == ["sampan/x:1", "base"]
    assert attestation.platform == Platform("unknown", "unknown")
    assert attestation.annotations["vnd.docker.reference.type"] == "attestation-manifest"


def test_the_same_tree_gives_the_same_image(cache, stage, tmp_path):
    assert write(cache, stage) == write(Cache(tmp_path / "other"), stage)
