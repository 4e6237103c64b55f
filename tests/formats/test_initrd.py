import gzip

import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.base.entry import Entry, Kind
from sampan.errors import SampanError
from sampan.formats import codec, cpio, initrd
from sampan.formats.codec import Compression
from sampan.formats.cpio import Inode


def plain(size):
    head = cpio.header(Entry("f", Kind.FILE, 0o644, size=size), Inode(1))
    return head + b"x" * size + cpio.padding(size)


def packed(data, compression):
    one = codec.compressor(compression, len(data))
    return one.feed(data) + one.finish()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "initrd.img"


@pytest.mark.parametrize("size", [0, 10, 200, 300, 70_000, 1 << 20])
@pytest.mark.parametrize("compression", Compression)
def test_the_size_of_one_piece(path, compression, size):
    path.write_bytes(packed(plain(size), compression))
    assert initrd.unpacked_size(path) == len(plain(size))


def test_pieces_of_all_kinds_with_zeros_between(path):
    ucode, first, second = plain(5), plain(1000), plain(3000)
    path.write_bytes(
        ucode + bytes(8) + packed(first, Compression.ZSTD) + packed(second, Compression.GZIP)
        + bytes(3)
    )  # fmt: skip
    found = list(initrd.pieces(path))
    assert [piece.compression for piece in found] == ["none", "zstd", "gzip"]
    assert [piece.size for piece in found] == [len(ucode), len(first), len(second)]
    assert found[1].offset == len(ucode) + 8
    assert found[2].offset == found[1].offset + found[1].length


def test_frames_of_the_zstd_program(path):
    data = plain(100_000)
    option = zstd.CompressionParameter.checksum_flag
    path.write_bytes(zstd.compress(data, options={option: 1}) * 2)
    assert initrd.unpacked_size(path) == 2 * len(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"not an initrd", "is not an initrd that can be read"),
        (packed(plain(70_000), Compression.ZSTD)[:-9], "ends early"),
        (gzip.compress(plain(70_000))[:-9], "ends early"),
        (plain(100)[:-9], "ends early"),
        (b"070701" + b"x" * 200, "damaged header"),
        (b"\x1f\x8bjunk", "is damaged"),
        (
            zstd.compress(b"x" * 900, options={zstd.CompressionParameter.content_size_flag: 0}),
            "does not say how large",
        ),
    ],
)
def test_damaged_files(path, data, message):
    path.write_bytes(data)
    with pytest.raises(SampanError, match=message):
        initrd.unpacked_size(path)


@settings(derandomize=True)
@given(st.sampled_from([b"", b"\x28\xb5\x2f\xfd", b"\x1f\x8b", b"070701"]), st.binary(max_size=200))
def test_junk_ends(tmp_path_factory, magic, junk):
    path = tmp_path_factory.mktemp("i") / "initrd.img"
    path.write_bytes(magic + junk)
    try:
        assert initrd.unpacked_size(path) >= 0
    except SampanError as error:
        assert str(path) in error.message  # noqa: PT017
