"""The tree of gold.yml against LinuxKit's, file by file.

Differences are only those of `ALLOWED`, each of which docs/reference/compatibility.md explains.
"""

import io
import json
import tarfile
from pathlib import Path

import pytest

from sampan import spec
from sampan.formats import cpio
from sampan.formats.codec import Compression
from sampan.image.build import Options, build
from sampan.image.output import Output
from sampan.oci import archive
from sampan.oci.layout import Cache
from sampan.oci.model import Platform

DATA = Path(__file__).parents[1] / "data" / "parity"
ALLOWED = {
    "containers/volumes/img/tmp": "a read-only volume has none: that makes it read-only",
    "dev": "the image's own folder keeps its time",
    "etc": "the image's own folder keeps its time, and its mode when a file is put into it",
}
JSON = ("config.json", "runtime.json")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parity")
    cache = Cache(folder / "cache")
    archive.import_archive(cache, DATA / "images.tar")
    gold = spec.load([spec.Source.file(DATA / "gold.yml")])
    build(
        gold, cache=cache, platform=Platform("amd64"), formats=["tar", "kernel+initrd"],
        output=Output(folder, "gold"),
        options=Options(sbom_name=None, compression=Compression.NONE),
    )  # fmt: skip
    return folder


def effective(path):
    """The tree that unpacking gives: the last entry of a name wins."""
    tree = {}
    with tarfile.open(path) as opened:
        for member in opened:
            content = opened.extractfile(member).read() if member.isfile() else b""
            name = member.name.rstrip("/")
            if name.endswith(JSON):
                content = json.loads(content)
            xattrs = {k: v for k, v in member.pax_headers.items() if k.startswith("SCHILY")}
            tree[name] = {
                "type": member.type, "mode": member.mode, "owner": (member.uid, member.gid),
                "mtime": member.mtime, "target": member.linkname, "size": member.size,
                "content": content, "device": (member.devmajor, member.devminor),
                "xattrs": xattrs,
            }  # fmt: skip
    return tree


def test_the_tree_is_linuxkits(built):
    gold, ours = effective(DATA / "gold.tar"), effective(built / "gold.tar")
    different = {name for name in gold.keys() | ours.keys() if gold.get(name) != ours.get(name)}
    assert different == ALLOWED.keys()


def test_what_is_allowed_to_differ_does_so_as_explained(built):
    gold, ours = effective(DATA / "gold.tar"), effective(built / "gold.tar")
    assert "containers/volumes/img/tmp" not in ours
    for name in ("dev", "etc"):
        changed = {key for key in gold[name] if gold[name][key] != ours[name][key]}
        assert changed <= {"mtime", "mode"}
        assert (ours[name]["mode"], ours[name]["mtime"]) == (0o755, 1_600_000_000)


def test_the_documents_are_equal_to_the_byte(built):
    with tarfile.open(DATA / "gold.tar") as gold, tarfile.open(built / "gold.tar") as ours:
        names = [name for name in gold.getnames() if name.endswith(JSON)]
        assert len(names) == 8
        for name in names:
            assert ours.extractfile(name).read() == gold.extractfile(name).read()


def test_every_difference_is_in_the_compatibility_page():
    page = (Path(__file__).parents[2] / "docs" / "reference" / "compatibility.md").read_text()
    for words in ("read-only volume", "keeps its owner, mode and time", "hard link"):
        assert words in page


def test_every_name_is_written_once(built):
    with tarfile.open(built / "gold.tar") as ours:
        names = ours.getnames()
    assert len(names) == len(set(names))


def test_the_initrd_has_the_same_tree_but_for_what_is_beside_it(built):
    tree = effective(built / "gold.tar")
    members = {}
    with (built / "gold-initrd.img").open("rb") as stream:
        for member, content in cpio.read(io.BytesIO(stream.read())):
            members[member.entry.name or "."] = (member, b"".join(content))
    assert members.keys() == {name for name in tree if not name.startswith("boot/")}
    for name, (member, data) in members.items():
        entry, wanted = member.entry, tree[name]
        assert entry.mtime_ns // 10**9 == int(wanted["mtime"])
        if wanted["type"] == tarfile.LNKTYPE:
            first = members[wanted["target"]][0]
            assert member.inode == first.inode
            assert entry.mode == first.entry.mode
            continue
        assert (entry.mode, entry.uid, entry.gid) == (wanted["mode"], *wanted["owner"])
        if not name.endswith(JSON):
            assert data == wanted["content"]
    assert (built / "gold-kernel").read_bytes() == tree["boot/kernel"]["content"]
    assert (built / "gold-cmdline").read_bytes() == b"console=ttyS0 page_poison=1"


def test_files_of_2017_name_formats_that_are_not_there_yet():
    from sampan.errors import UnsupportedError
    from sampan.image.build import formats_of

    legacy = spec.load([spec.Source.file(DATA / "legacy.yml")])
    with pytest.raises(UnsupportedError) as caught:
        formats_of(legacy)
    assert str(caught.value) == (
        "this version of sampan cannot do the format iso-bios: it is not there yet"
    )
    assert caught.value.hint == "formats: kernel+initrd, tar, docker, tar-kernel-initrd"
    assert [one.name for one in formats_of(legacy, ["tar"])] == ["tar"]
