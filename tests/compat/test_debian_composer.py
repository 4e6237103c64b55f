"""The Debian composer against the real apt and archive, and buildah for Dockerfiles."""

import json
import shutil

import pytest

from sampan.base import proc
from sampan.oci import tree
from sampan.oci.layout import Cache
from sampan.oci.model import Platform
from sampan.package import apt, build, composer, space
from sampan.package.apt import AptError
from sampan.package.build import Options
from sampan.package.space import NoSpaceError

pytestmark = [
    pytest.mark.compat,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="needs apt"),
]

RECIPE = """\
image: busybox
org: test
arches: [amd64, arm64]
debian:
  packages: [busybox-static]
  depends: false
  links: {/bin/sh: busybox}
  users: [{name: www, uid: 33}]
"""
PLATFORMS = [Platform("amd64"), Platform("arm64")]
MACHINES = {"amd64": 62, "arm64": 183}  # e_machine of ELF


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "package"
    made.mkdir()
    (made / "build.yml").write_text(RECIPE)
    return made


def test_busybox_for_two_architectures(folder, tmp_path):
    cache = Cache(tmp_path / "cache")
    reference = build.build(folder, cache, PLATFORMS)
    for platform in PLATFORMS:
        image = cache.image(reference, platform)
        nodes = {node.entry.name: node for node in tree.image_tree(cache, image).nodes}
        assert nodes["usr/bin/sh"].entry.target == "busybox"
        assert nodes["bin"].entry.target == "usr/bin"
        busybox = nodes["usr/bin/busybox"]
        [elf] = [b"".join(chunks) for _, chunks in tree.contents(cache, image, [busybox])]
        assert elf[:4] == b"\x7fELF"
        assert int.from_bytes(elf[18:20], "little") == MACHINES[platform.architecture]
        [statement] = image.attestations()
        packages = json.loads(statement)["predicate"]["packages"]
        assert [package["name"] for package in packages[1:]] == ["busybox-static"]

    # the same again elsewhere, from the same packages and without the network, to the bit
    other = Cache(tmp_path / "other")
    shutil.copytree(cache.root / "apt", other.root / "apt")
    offline = Options(debian=composer.Options(offline=True))
    build.build(folder, other, PLATFORMS, offline)
    assert other.find(reference) == cache.find(reference)


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of five megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", folder]
    if proc.run(mount, check=False).status != 0:
        pytest.skip("needs the right to mount")
    yield folder
    proc.run(["umount", folder])


@pytest.mark.parametrize("room", [apt.LISTS_ROOM, 0], ids=["asked before", "noticed later"])
def test_a_full_disk_is_noticed(folder, small_disk, monkeypatch, room):
    monkeypatch.setattr(apt, "LISTS_ROOM", room)
    with pytest.raises(NoSpaceError, match=f"no space left for {small_disk}"):
        build.build(folder, Cache(small_disk / "cache"), PLATFORMS[0])
    assert not list(small_disk.glob("cache/apt/*/state/lists/partial/*"))
    assert space.free(small_disk) > 4 << 20


def test_an_unknown_package_is_named(folder, tmp_path):
    (folder / "build.yml").write_text(RECIPE.replace("busybox-static", "busybox-statik"))
    with pytest.raises(AptError, match="trixie for amd64 has no package busybox-statik") as caught:
        build.build(folder, Cache(tmp_path / "cache"), PLATFORMS[0])
    assert caught.value.hint == "did you mean busybox-static?"


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="needs skopeo")
def test_skopeo_reads_the_image(folder, tmp_path):
    cache = Cache(tmp_path / "cache")
    reference = build.build(folder, cache, PLATFORMS[1])
    source = f"oci:{cache.root}:{reference.canonical}"
    target = f"oci:{tmp_path / 'copy'}:x"
    argv = ["skopeo", "--override-arch", "arm64", "--insecure-policy", "copy", source, target]
    proc.run(argv, timeout_s=120)
    assert (tmp_path / "copy" / "index.json").exists()


@pytest.mark.slow
@pytest.mark.skipif(not proc.has_tool("depmod"), reason="needs kmod")
def test_module_tables_are_those_of_depmod(folder, tmp_path):
    (folder / "build.yml").write_text(
        "image: kernel\norg: test\narches: [amd64]\ndebian:\n"
        "  packages: [linux-image-cloud-amd64]\n  only: ['linux-image-*']\n"
        "  kernel: {modules: ['virtio_*', overlay, 'xt_*', ext4], compressed: true}\n"
    )
    cache = Cache(tmp_path / "cache")
    image = cache.image(build.build(folder, cache, PLATFORMS[0]), PLATFORMS[0])
    [kernel] = [n for n in tree.image_tree(cache, image).nodes if n.entry.name == "kernel.tar"]
    [data] = [b"".join(chunks) for _, chunks in tree.contents(cache, image, [kernel])]
    (tmp_path / "root").mkdir()
    proc.run(["tar", "-xf", "-", "-C", tmp_path / "root"], stdin=data)
    [ours] = (tmp_path / "root/lib/modules").iterdir()
    theirs = tmp_path / "depmod/lib/modules" / ours.name
    shutil.copytree(ours, theirs)
    proc.run(["depmod", "-b", tmp_path / "depmod", ours.name])
    for name in ("modules.alias", "modules.symbols", "modules.softdep", "modules.dep"):
        assert lines(ours / name) == lines(theirs / name), name
    for name in ("modules.builtin.bin", "modules.builtin.alias.bin"):
        assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name
    argv = ["modprobe", "-d", tmp_path / "root", "-S", ours.name, "--show-depends"]
    loaded = proc.run([*argv, "virtio-net"]).stdout.decode().splitlines()
    names = [line.rpartition("/")[2].partition(".")[0] for line in loaded]
    assert names == ["failover", "net_failover", "virtio_net"]
    assert proc.run([*argv, "ext4"]).stdout == b"builtin ext4\n"


def lines(path):
    """The lines of a table, without comments; the order of words and lines does not count."""
    return sorted(sorted(t.split()) for t in path.read_text().splitlines() if t[:1] != "#")


@pytest.mark.skipif(shutil.which("buildah") is None, reason="needs buildah")
def test_a_dockerfile_goes_to_buildah(folder, tmp_path):
    (folder / "build.yml").write_text(
        "image: hello\norg: test\nbuildArgs: [WHO=me]\narches: [amd64, arm64]\n"
        "config: {capabilities: [CAP_CHOWN]}\n"
    )
    (folder / "Dockerfile").write_text(
        'FROM scratch\nARG WHO\nCOPY hello /hello\nLABEL who=$WHO\nCMD ["/hello"]\n'
    )
    (folder / "hello").write_text("hello\n")
    cache = Cache(tmp_path / "cache")
    options = Options(storage=tmp_path / "storage", debian=composer.Options(epoch_s=0))
    reference = build.build(folder, cache, PLATFORMS, options)
    for platform in PLATFORMS:
        image = cache.image(reference, platform)
        assert image.config.config.cmd == ("/hello",)
        assert image.config.config.labels["who"] == "me"
        assert "CAP_CHOWN" in image.config.config.labels["org.mobyproject.config"]
        names = {node.entry.name for node in tree.image_tree(cache, image).nodes}
        assert "hello" in names
    assert [entry.reference for entry in cache.entries()] == [reference]
