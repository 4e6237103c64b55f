"""What we write, read by the tools people have: GNU tar, bsdtar, skopeo and umoci."""

import gzip
import io
import json
import os

import pytest

from sampan.base import proc
from sampan.base.entry import Entry, Kind
from sampan.oci import model
from sampan.oci.archive import export_archive, import_archive
from sampan.oci.digest import Digest
from sampan.oci.layout import Cache
from sampan.oci.model import Descriptor, ImageConfig, Manifest, Platform, RootFs
from sampan.oci.reference import Reference
from sampan.oci.tar import Writer
from sampan.oci.tree import image_tree

pytestmark = pytest.mark.compat

REF = Reference.parse("test/image:1")
AMD64 = Platform("amd64")
LONG = "/".join(["folder-with-a-long-name"] * 12)
ITEMS = [
    (Entry("d", Kind.DIRECTORY, 0o1777, mtime_ns=10**18), b""),
    (Entry("d/f", Kind.FILE, 0o4755, 70_000, 3_000_000, 10**18 + 500_000_000, 4), b"text"),
    (Entry("d/\u00e4", Kind.FILE, 0o600, size=1), b"x"),
    (Entry(LONG, Kind.DIRECTORY, 0o755), b""),
    (Entry(LONG + "/f", Kind.FILE, 0o644, size=700, xattrs=(("user.a", b"\x00\xff"),)), b"y" * 700),
    (Entry("l", Kind.SYMLINK, 0o777, target=LONG + "/f"), b""),
    (Entry("h", Kind.HARDLINK, 0o4755, target="d/f"), b""),
    (Entry("n", Kind.CHARACTER, 0o666, device=(1, 3)), b""),
    (Entry("p", Kind.FIFO, 0o600), b""),
]
NAMES = [f"{e.name}/" if e.kind is Kind.DIRECTORY else e.name for e, _ in ITEMS]
UTF8 = {"LC_ALL": "C.UTF-8", "TZ": "UTC"}


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "ours.tar"
    with path.open("wb") as stream, Writer(stream) as writer:
        for entry, content in ITEMS:
            writer.add(entry, [content])
    return path


@pytest.mark.parametrize("tool", ["tar", "bsdtar"])
def test_they_list_what_we_write(archive, tool):
    listed = proc.run([tool, "-tf", archive], env=UTF8 | {"TAR_OPTIONS": "--quoting-style=literal"})
    assert listed.stdout.decode().splitlines() == NAMES
    assert listed.stderr == b""


def test_gnu_tar_sees_modes_owners_and_times(archive):
    lines = proc.run(
        ["tar", "--numeric-owner", "--full-time", "-tvf", archive], env=UTF8
    ).stdout.decode().splitlines()  # fmt: skip
    assert lines[1].split() == [
        "-rwsr-xr-x", "70000/3000000", "4", "2001-09-09", "01:46:40.5", "d/f",
    ]  # fmt: skip
    assert lines[6].endswith("h link to d/f")
    assert lines[7].split()[:3] == ["crw-rw-rw-", "0/0", "1,3"]


@pytest.mark.parametrize("tool", ["tar", "bsdtar"])
def test_they_unpack_what_we_write(archive, tmp_path, tool):
    out = tmp_path / "out"
    out.mkdir()
    proc.run([tool, "-C", out, "-xf", archive, "--exclude=n", "--no-same-owner"], env=UTF8)
    assert (out / "d/f").read_bytes() == b"text"
    assert (out / "h").samefile(out / "d/f")
    assert (out / LONG / "f").read_bytes() == b"y" * 700
    assert str((out / "l").readlink()) == LONG + "/f"


@pytest.fixture
def image(tmp_path):
    """A cache with an image whose layer a tool made: GNU tar's own format, long names, links."""
    tree = tmp_path / "tree"
    (tree / LONG).mkdir(parents=True)
    (tree / LONG / "f").write_bytes(b"text")
    (tree / "h").hardlink_to(tree / LONG / "f")
    (tree / "l").symlink_to("x" * 150)
    made = proc.run(["tar", "--format=gnu", "--sort=name", "-C", tree, "-c", "."])
    cache = Cache(tmp_path / "cache")
    packed = gzip.compress(made.stdout, mtime=0)
    config = model.encode(
        ImageConfig(
            architecture="amd64", os="linux", rootfs=RootFs(diff_ids=(Digest.of(made.stdout),))
        )
    )
    manifest = model.encode(
        Manifest(
            config=Descriptor(model.OCI_CONFIG, cache.put_blob(config), len(config)),
            layers=(Descriptor(model.OCI_LAYER_GZIP, cache.put_blob(packed), len(packed)),),
        )
    )
    cache.tag(REF, Descriptor(model.OCI_MANIFEST, cache.put_blob(manifest), len(manifest), AMD64))
    return cache.image(REF, AMD64), cache


def export(cache, path, format_):
    with path.open("wb") as stream:
        export_archive(cache, REF, stream, format=format_, platform=AMD64)


def test_layers_made_by_gnu_tar_and_bsdtar_are_the_same_tree(image, tmp_path):
    found, cache = image
    names = sorted(node.entry.name for node in image_tree(cache, found).nodes)
    listed = proc.run(["find", ".", "-printf", "%P\\n"], cwd=tmp_path / "tree").stdout.decode()
    assert names == sorted(listed.split("\n")[:-1])


def test_skopeo_reads_an_exported_layout(image, tmp_path):
    found, cache = image
    export(cache, tmp_path / "out.tar", "oci")
    source = f"oci-archive:{tmp_path / 'out.tar'}:docker.io/test/image:1"
    shown = json.loads(proc.run(["skopeo", "inspect", "--raw", source]).stdout)
    assert shown["config"]["digest"] == found.manifest.config.digest
    proc.run(["skopeo", "--insecure-policy", "copy", source, f"dir:{tmp_path / 'dir'}"])
    assert (tmp_path / "dir" / found.layers[0].digest.hex).exists()


def test_umoci_unpacks_an_exported_layout(image, tmp_path):
    _, cache = image
    export(cache, tmp_path / "out.tar", "oci")
    layout = tmp_path / "layout"
    layout.mkdir()
    proc.run(["tar", "-xf", tmp_path / "out.tar", "-C", layout])
    rootless = [] if os.getuid() == 0 else ["--rootless"]
    name = f"{layout}:{REF.canonical}"
    proc.run(["umoci", "unpack", *rootless, "--image", name, tmp_path / "bundle"])
    unpacked = tmp_path / "bundle/rootfs"
    proc.run(["diff", "-r", "--no-dereference", unpacked, tmp_path / "tree"])
    assert (unpacked / "h").samefile(unpacked / LONG / "f")


def test_skopeo_reads_an_exported_docker_archive(image, tmp_path):
    found, cache = image
    export(cache, tmp_path / "out.tar", "docker")
    source = f"docker-archive:{tmp_path / 'out.tar'}:test/image:1"
    shown = json.loads(proc.run(["skopeo", "inspect", source]).stdout)
    assert shown["Architecture"] == "amd64"
    proc.run(["skopeo", "--insecure-policy", "copy", source, f"oci:{tmp_path / 'layout'}:x"])
    (copied,) = json.loads((tmp_path / "layout/index.json").read_bytes())["manifests"]
    assert copied["digest"]
    assert found.config.rootfs.diff_ids


@pytest.mark.parametrize("kind", ["oci-archive", "docker-archive"])
def test_we_import_what_skopeo_writes(image, tmp_path, kind):
    found, cache = image
    export(cache, tmp_path / "out.tar", "oci")
    source = f"oci-archive:{tmp_path / 'out.tar'}"
    target = f"{kind}:{tmp_path / 'theirs.tar'}:docker.io/test/image:1"
    proc.run(["skopeo", "--insecure-policy", "copy", source, target])
    other = Cache(tmp_path / "other")
    assert import_archive(other, tmp_path / "theirs.tar") == [REF]
    theirs = image_tree(other, other.image(REF, AMD64))
    assert theirs == image_tree(cache, found)


def test_skopeo_reads_the_cache_itself(image):
    found, cache = image
    source = f"oci:{cache.root}:docker.io/test/image:1"
    shown = json.loads(proc.run(["skopeo", "inspect", "--raw", source]).stdout)
    assert shown["config"]["digest"] == found.manifest.config.digest


def test_a_flattened_tree_is_a_tar_like_any_other(image, tmp_path):
    _, cache = image
    stream = io.BytesIO()
    export_archive(cache, REF, stream, format="filesystem", platform=AMD64)
    out = tmp_path / "out"
    out.mkdir()
    proc.run(["tar", "-C", out, "-x"], stdin=stream.getvalue())
    proc.run(["diff", "-r", "--no-dereference", out, tmp_path / "tree"])
