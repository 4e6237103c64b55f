import json

import pytest

from sampan.errors import SampanError, UsageError
from sampan.oci.layout import Cache
from sampan.oci.model import Platform
from sampan.oci.reference import Reference
from sampan.package import build, catalog, composer, tag
from sampan.package.build import Options
from sampan.package.recipe import Recipe

AMD64, ARM64 = Platform("amd64"), Platform("arm64")
TEXT = """\
image: hello
org: me
gitrepo: https://x.test/hello
arches: [amd64, arm64]
config: {capabilities: [CAP_CHOWN]}
debian:
  files: [{path: /etc/motd, source: motd}]
  cmd: [cat, /etc/motd]
"""


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


@pytest.fixture
def folder(package):
    return package(TEXT, {"motd": "hello\n"})


def test_a_package_becomes_an_image(folder, cache):
    reference = build.build(folder, cache, AMD64)
    assert reference.familiar == f"me/hello:{tag.content_hash([folder])}"
    config = cache.image(reference, AMD64).config.config
    assert config.cmd == ("cat", "/etc/motd")
    assert json.loads(config.labels["org.mobyproject.config"]) == {"capabilities": ["CAP_CHOWN"]}
    assert config.labels["org.opencontainers.image.source"] == "https://x.test/hello"


def test_what_is_there_is_not_built_again(folder, cache, monkeypatch):
    build.build(folder, cache, AMD64)
    monkeypatch.setattr(composer, "compose", None)
    build.build(folder, cache, AMD64)
    with pytest.raises(TypeError):
        build.build(folder, cache, AMD64, Options(force=True))
    with pytest.raises(TypeError):
        build.build(folder, cache, ARM64)


@pytest.mark.parametrize("part", ["index", "manifest", "layer", "statement"])
def test_what_is_lost_is_built_again(folder, cache, part):
    reference = build.build(folder, cache, AMD64)
    image = cache.image(reference, AMD64)
    [statement] = [d for d in image.index.manifests if d.digest != image.digest]
    digest = {
        "index": cache.find(reference).digest,
        "manifest": image.digest,
        "layer": image.layers[0].digest,
        "statement": statement.digest,
    }[part]
    cache.blobs.remove(digest)
    other = Cache(cache.root)
    build.build(folder, other, AMD64)
    assert other.blobs.is_sound(digest)


def test_platforms_join_one_index(folder, cache):
    build.build(folder, cache, ARM64)
    reference = build.build(folder, cache, AMD64)
    one_by_one = cache.find(reference)
    build.build(folder, cache, [AMD64, ARM64], Options(force=True))
    assert cache.find(reference) == one_by_one
    index = cache.image(reference, ARM64).index
    assert [str(item.platform) for item in index.manifests] == [
        "linux/amd64", "linux/arm64", "unknown/unknown", "unknown/unknown",
    ]  # fmt: skip
    assert len(list(cache.image(reference, ARM64).attestations())) == 1


def test_a_rebuild_replaces_only_its_platform(folder, cache):
    reference = build.build(folder, cache, [AMD64, ARM64])
    before = {p: cache.image(reference, p).digest for p in (AMD64, ARM64)}
    build.build(folder, cache, ARM64, Options(force=True, debian=composer.Options(epoch_s=99)))
    assert cache.image(reference, AMD64).digest == before[AMD64]
    assert cache.image(reference, ARM64).digest != before[ARM64]
    assert len(cache.image(reference, AMD64).index.manifests) == 4


def test_nothing_to_build_from(package, cache):
    with pytest.raises(UsageError) as caught:
        build.build(package("image: bare\ndockerfile: Other\n", {}), cache, AMD64)
    assert str(caught.value) == (
        "package bare has nothing to be built from: neither Other nor, in its recipe, debian:"
    )


def test_an_architecture_it_is_not_for(folder, cache):
    with pytest.raises(UsageError, match="package hello is not for linux/s390x") as caught:
        build.build(folder, cache, Platform("s390x"))
    assert caught.value.hint == "its build.yml has arches: amd64, arm64"


def test_names_can_be_changed(folder):
    options = Options(org="you", hash="dev")
    assert build.show_tag(folder, options) == "you/hello:dev"
    assert build.show_tag(folder, options, canonical=True) == "docker.io/you/hello:dev"


def test_the_catalog(folder, cache, monkeypatch):
    monkeypatch.setattr(catalog, "_root", lambda: folder.parent)
    found = build.build_from_catalog(Reference.parse("sampan/package:any"), cache, AMD64)
    assert found == build.build(folder, cache, AMD64)
    assert build.build_from_catalog(Reference.parse("nginx"), cache, AMD64) is None


def test_only_clean_packages_are_pushed(folder):
    package = build.open_package(folder)
    build.check_pushable(package)
    dirty = build.Package(folder, package.recipe, tag.Sources("x", dirty=True), package.reference)
    with pytest.raises(SampanError, match="not committed"):
        build.check_pushable(dirty)


def test_labels_of_a_commit(tmp_path):
    sources = tag.Sources("x", revision="abc")
    package = build.Package(tmp_path, Recipe(image="x"), sources, Reference.parse("x"))
    assert build.labels(package) == {"org.opencontainers.image.revision": "abc"}


def test_manifest_joins_the_images_of_each_architecture(folder, cache):
    whole = build.build(folder, cache, [AMD64, ARM64])
    for platform in (AMD64, ARM64):
        single = Reference.parse(f"me/hello:1-{platform.architecture}")
        [found] = [
            d for d in cache.image(whole, platform).index.manifests if d.platform == platform
        ]
        cache.tag(single, found)
    joined = Reference.parse("me/hello:1")
    build.manifest(joined, cache, [AMD64, ARM64, Platform("s390x")])
    assert cache.image(joined, ARM64).digest == cache.image(whole, ARM64).digest
    with pytest.raises(SampanError, match="no image me/hello:2-ARCH"):
        build.manifest(Reference.parse("me/hello:2"), cache, [AMD64])


@pytest.mark.parametrize(
    ("platform", "name"),
    [("amd64", "amd64"), ("ppc64le", "ppc64el"), ("386", "i386"), ("arm/v7", "armhf"),
     ("arm/v6", "armel")],
)  # fmt: skip
def test_debian_architectures(platform, name):
    parsed = Platform.parse(f"linux/{platform}")
    assert build.debian_architecture(parsed) == name


@pytest.mark.parametrize("platform", ["windows/amd64", "linux/wasm"])
def test_what_debian_is_not_made_for(platform):
    with pytest.raises(UsageError, match=f"no architecture for {platform}"):
        build.debian_architecture(Platform.parse(platform))
