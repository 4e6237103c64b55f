import gzip
import lzma

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from sampan.machine import initrd
from sampan.machine.initrd import NotUnderstoodError, Unpacked


def archive(*sizes, trailer=True):
    """A newc archive of files of these sizes."""
    members = [(f"f{index}", size) for index, size in enumerate(sizes)]
    members += [("TRAILER!!!", 0)] if trailer else []
    return b"".join(member(name, size) for name, size in members)


def member(name, size):
    fields = [0] * 13
    fields[6], fields[11] = size, len(name) + 1
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return pad(header) + pad(b"x" * size)


def pad(data):
    return data + b"\0" * (-len(data) % 4)


PLAIN = archive(0, 1, 4096, 4097)
MEASURED = Unpacked(pages=4, inodes=5)


@pytest.fixture
def measure(tmp_path):
    def measured(data):
        path = tmp_path / "initrd"
        path.write_bytes(data)
        return initrd.measure(path)

    return measured


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstd.compress, lzma.compress])
def test_one_archive(measure, compress):
    assert measure(compress(PLAIN)) == MEASURED


def test_a_chain_of_archives(measure):
    chain = [
        PLAIN,
        b"\0" * 512,
        gzip.compress(PLAIN),
        b"\0",
        zstd.compress(PLAIN),
        PLAIN,
        lzma.compress(PLAIN),
    ]
    assert measure(b"".join(chain)) == Unpacked(pages=20, inodes=25)


def test_padding_inside_a_member(measure):
    assert measure(gzip.compress(PLAIN + b"\0" * 200 + PLAIN)) == Unpacked(pages=8, inodes=10)


def test_files_larger_than_a_step(measure):
    size = (3 << 20) + 5
    assert measure(gzip.compress(archive(size, 10))) == Unpacked(pages=770, inodes=3)


def test_empty_file(measure):
    assert measure(b"") == Unpacked(0, 0)


@pytest.mark.parametrize(
    "data",
    [
        b"\x04\x22\x4d\x18 lz4",
        b"not an initrd",
        gzip.compress(b"not a cpio archive, but longer than the header of one would be" * 3),
        gzip.compress(PLAIN)[:-20],
        gzip.compress(PLAIN)[:20] + b"\xff" * 20,
        zstd.compress(PLAIN)[:-5],
        PLAIN.replace(b"00001000", b"0000zzzz"),
        b"070701" + b"0" * 20,
    ],
    ids=["lz4", "text", "no-cpio", "cut-gzip", "bad-gzip", "cut-zstd", "bad-number", "short"],
)
def test_what_cannot_be_understood(measure, data):
    with pytest.raises(NotUnderstoodError):
        measure(data)


def test_bombs_are_left_alone(measure, monkeypatch):
    monkeypatch.setattr(initrd, "_MOST_UNPACKED", 1 << 20)
    with pytest.raises(NotUnderstoodError, match="more than 1048576 bytes"):
        measure(zstd.compress(archive(8 << 20)))


def test_zstd_without_its_library(measure, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(NotUnderstoodError, match=r"needs the package backports\.zstd"):
        measure(zstd.compress(PLAIN))


@given(st.lists(st.integers(0, 9000), max_size=8), st.integers(1, 5000))
def test_pieces_make_no_difference(sizes, step):
    count = initrd._Count()
    data = archive(*sizes)
    for start in range(0, len(data), step):
        count.feed(data[start : start + step])
    assert count.inodes == len(sizes) + 1
    assert count.pages == sum(-(-size // 4096) for size in sizes)
