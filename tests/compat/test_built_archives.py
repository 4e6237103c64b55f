"""Real programs reading what `sampan build` writes: GNU cpio and tar, zstd, gzip."""

import subprocess
from pathlib import Path

import pytest

from sampan import spec
from sampan.base.entry import Entry, Kind
from sampan.formats import cpio
from sampan.formats.codec import Compression
from sampan.formats.cpio import Inode
from sampan.image.build import Options, build
from sampan.image.output import Output
from sampan.oci import archive
from sampan.oci.layout import Cache
from sampan.oci.model import Platform

pytestmark = pytest.mark.compat
DATA = Path(__file__).parents[1] / "data" / "parity"


@pytest.fixture
def built(tmp_path):
    """A function: compression → folder with gold.tar and gold-initrd.img."""

    def run(compression=None):
        cache = Cache(tmp_path / "cache")
        archive.import_archive(cache, DATA / "images.tar")
        build(
            spec.load([spec.Source.file(DATA / "gold.yml")]), cache=cache,
            platform=Platform("amd64"), formats=["tar", "kernel+initrd"],
            output=Output(tmp_path, "gold"), options=Options(compression=compression),
        )  # fmt: skip
        return tmp_path

    return run


def listed(command, folder):
    done = subprocess.run(
        ["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines(), done.stderr


@pytest.mark.parametrize(
    ("compression", "program"),
    [(Compression.ZSTD, "zstd -dc"), (Compression.GZIP, "gzip -dc"), (Compression.NONE, "cat")],
)
def test_cpio_lists_the_whole_initrd_as_one_archive(built, compression, program):
    folder = built(compression)
    names, _ = listed(f"{program} gold-initrd.img | cpio -t --quiet", folder)
    members, said = listed("tar -tf gold.tar", folder)
    assert said == ""
    inside = {name.rstrip("/") for name in members if not name.startswith("boot/")}
    assert {name.rstrip("/") for name in names} == {name.strip("./") or "." for name in inside}


def test_cpio_unpacks_hard_links_whose_first_name_has_the_content(tmp_path):
    link = Inode(9, (1, 2), 2)
    data = (
        cpio.header(Entry("one", Kind.FILE, 0o644, size=5), link) + b"hello" + cpio.padding(5)
        + cpio.header(Entry("two", Kind.HARDLINK, 0o644, target="one"), link)
        + cpio.trailer(0)
    )  # fmt: skip
    subprocess.run(["cpio", "-idm", "--quiet"], input=data, cwd=tmp_path, check=True)
    assert (tmp_path / "two").read_text() == "hello"
    assert (tmp_path / "two").samefile(tmp_path / "one")
