import io
import tarfile

import pytest
from backports import zstd

from sampan import spec as specs
from sampan.base.entry import Entry, Kind
from sampan.errors import SampanError
from sampan.formats import cpio
from sampan.formats.codec import Compression
from sampan.image.assemble import Assembler
from sampan.image.finder import Finder
from sampan.image.gather import Gatherer
from sampan.image.larder import Larder
from sampan.image.plan import make_plan
from sampan.image.step import Made
from sampan.image.store import Store
from sampan.oci.model import Platform

YAML = """
kernel: {image: "k:1", ucode: u}
init: ["base:1"]
services: [{name: one, image: "app:1"}, {name: two, image: "other:1"}]
files: [{path: etc/motd, contents: "%s"}]
"""
BIG = bytes(range(256)) * 1000


@pytest.fixture
def images(add_image, tar_bytes):
    modules = tar_bytes({"lib/": None, "lib/x.ko": BIG})
    add_image("k:1", {"kernel": b"bz", "kernel.tar": modules, "u": b"ucode"})
    add_image("base:1", {"lib": "-> usr/lib", "usr/": None, "usr/lib/": None, "init": b"i"})
    add_image("app:1", {"app": b"x", "big": BIG}, {"more": b"1", "hard": "= more"})
    add_image("other:1", {"same": BIG, "app": b"y"})


@pytest.fixture
def work(cache, tmp_path, images):
    """A function: text of motd → assembler and plan."""

    def make(text="hi"):
        spec = specs.load([specs.Source.text(YAML % text, "t")])
        store, larder = Store(tmp_path / "steps"), Larder(cache)
        supplies = Gatherer(Finder(cache, Platform("amd64")), larder, store).gather(
            spec, home=tmp_path
        )
        return Assembler(store, larder), make_plan(spec, supplies)

    return make


def initrd(work, path, compression=Compression.NONE):
    assembler, plan = work
    with path.open("w+b") as target:
        assembler.write_initrd(plan, compression, target)
    return path.read_bytes()


def members(data):
    return {
        one.entry.name: (one, b"".join(content)) for one, content in cpio.read(io.BytesIO(data))
    }


def test_the_initrd_is_one_archive(work, tmp_path):
    data = initrd(work(), tmp_path / "i")
    assert data.startswith(b"ucode\0\0\0" + cpio.MAGIC)
    assert data.count(cpio.TRAILER_NAME) == 1
    found = members(data[8:])
    assert found["usr/lib/x.ko"][1] == BIG
    assert found["etc/motd"][1] == b"hi"
    assert found["containers/services/one/lower/app"][1] == b"x"


def test_files_of_several_images_are_stored_once(work, tmp_path):
    found = members(initrd(work(), tmp_path / "i")[8:])
    same = [one for one, _ in found.values() if one.entry.name.endswith(("/big", "/same", "x.ko"))]
    assert {one.inode for one in same} == {same[0].inode}
    assert sorted(one.entry.size for one in same) == [0, 0, len(BIG)]


def test_pieces_are_frames_and_unpack_to_the_same_archive(work, tmp_path):
    plain = initrd(work(), tmp_path / "i")
    data = initrd(work(), tmp_path / "z", Compression.ZSTD)[8:]
    unpacked = b""
    while data:
        size = zstd.get_frame_size(data)
        unpacked += zstd.decompress(data[:size])
        data = data[size:]
    assert unpacked == plain[8:]


def test_the_same_plan_gives_the_same_bytes_with_and_without_finished_pieces(work, tmp_path):
    first = initrd(work(), tmp_path / "1", Compression.ZSTD)
    assert initrd(work(), tmp_path / "2", Compression.ZSTD) == first
    for path in (tmp_path / "steps").iterdir():
        path.unlink()
    assert initrd(work(), tmp_path / "3", Compression.ZSTD) == first


def test_large_pieces_are_kept_and_not_made_again(work, tmp_path):
    initrd(work(), tmp_path / "1")
    before = {path.name: path.stat().st_ino for path in (tmp_path / "steps").iterdir()}
    data = initrd(work("other"), tmp_path / "2")
    after = {path.name: path.stat().st_ino for path in (tmp_path / "steps").iterdir()}
    assert after == before
    assert members(data[8:])["etc/motd"][1] == b"other"


def test_the_tar_has_the_same_files(work, tmp_path):
    assembler, plan = work()
    stream = io.BytesIO()
    extra = Made(Entry("Dockerfile", Kind.FILE, 0o644, size=1), b"F")
    assembler.write_tar(plan, stream, [extra])
    stream.seek(0)
    with tarfile.open(fileobj=stream) as opened:
        names = opened.getnames()
        assert names[-1] == "Dockerfile"
        assert opened.extractfile("usr/lib/x.ko").read() == BIG
        assert opened.extractfile("containers/services/two/lower/same").read() == BIG
        assert opened.extractfile("containers/services/one/lower/hard").read() == b"1"
        assert opened.extractfile("boot/ucode.cpio").read() == b"ucode"
    assert len(names) == len(set(names))
    assert len(stream.getvalue()) % 512 == 0


def test_a_piece_that_is_removed_meanwhile(work, tmp_path, monkeypatch):
    ready = work()
    monkeypatch.setattr(Store, "make", lambda *_: None)
    with pytest.raises(SampanError, match="was removed while it was used"):
        initrd(ready, tmp_path / "i")
