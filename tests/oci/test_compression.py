import bz2
import gzip
import io
import lzma
import sys
import zlib

import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.errors import SampanError
from sampan.oci import compression
from sampan.oci.compression import (
    PIECE,
    CompressedWriter,
    Compression,
    DamagedStreamError,
    decompress,
    detect,
    open_decompressed,
)

TEXT = bytes(range(256)) * 9000  # more than two pieces
PACKED = {
    Compression.NONE: TEXT,
    Compression.GZIP: gzip.compress(TEXT),
    Compression.ZSTD: zstd.compress(TEXT),
    Compression.BZIP2: bz2.compress(TEXT),
    Compression.XZ: lzma.compress(TEXT),
}
COMPRESSED = [kind for kind in Compression if kind is not Compression.NONE]
WRITTEN = [Compression.GZIP, Compression.ZSTD]


@pytest.fixture(params=["isal", "zlib"])
def gzip_library(request, monkeypatch):
    if request.param == "zlib":
        monkeypatch.setitem(sys.modules, "isal", None)


@pytest.mark.usefixtures("gzip_library")
@pytest.mark.parametrize("kind", Compression)
def test_every_compression_is_known_by_its_first_bytes(kind):
    data = PACKED[kind]
    assert detect(data[:6]) is kind
    pieces = list(decompress(io.BytesIO(data)))
    assert b"".join(pieces) == TEXT
    assert max(map(len, pieces)) <= PIECE
    assert open_decompressed(io.BytesIO(data)).read() == TEXT


def test_short_and_empty_streams_are_plain():
    for data in (b"", b"\x1f", b"\x28\xb5\x2f"):
        assert b"".join(decompress(io.BytesIO(data))) == data


@pytest.mark.usefixtures("gzip_library")
@pytest.mark.parametrize("kind", COMPRESSED)
def test_several_members_and_zeros_behind_them(kind):
    data = PACKED[kind] * 2 + bytes(1000)
    assert b"".join(decompress(io.BytesIO(data))) == TEXT * 2


def test_a_zstd_stream_may_begin_with_a_skippable_frame():
    data = b"\x52\x2a\x4d\x18\x03\x00\x00\x00abc" + PACKED[Compression.ZSTD]
    assert open_decompressed(io.BytesIO(data)).read() == TEXT


@pytest.mark.usefixtures("gzip_library")
@pytest.mark.parametrize("kind", COMPRESSED)
def test_a_truncated_stream_is_refused(kind):
    data = PACKED[kind]
    for length in (7, len(data) // 2, len(data) - 1):
        with pytest.raises(DamagedStreamError, match=f"layer 3: the {kind} stream ends too early"):
            list(decompress(io.BytesIO(data[:length]), what="layer 3"))


@pytest.mark.usefixtures("gzip_library")
@pytest.mark.parametrize("kind", COMPRESSED)
def test_a_damaged_stream_is_refused(kind):
    data = bytearray(PACKED[kind])
    data[8:24] = b"\xaa" * 16
    with pytest.raises(DamagedStreamError, match=r"layer 3: .* is damaged"):
        list(decompress(io.BytesIO(bytes(data)), what="layer 3"))


@pytest.mark.usefixtures("gzip_library")
def test_the_checksum_of_gzip_is_checked():
    data = bytearray(PACKED[Compression.GZIP])
    data[-6] ^= 1
    with pytest.raises(DamagedStreamError, match="is damaged"):
        list(decompress(io.BytesIO(bytes(data))))


@pytest.mark.usefixtures("gzip_library")
@pytest.mark.parametrize("kind", COMPRESSED)
@pytest.mark.parametrize("garbage", [b"garbage", bytes(700) + b"garbage", b"\x1e" * 100_000])
def test_garbage_behind_a_stream_is_called_so(kind, garbage):
    with pytest.raises(
        DamagedStreamError, match=f"layer 3: something else follows the {kind} stream"
    ):
        list(decompress(io.BytesIO(PACKED[kind] + garbage), what="layer 3"))


@pytest.mark.usefixtures("gzip_library")
@pytest.mark.parametrize("kind", COMPRESSED)
@pytest.mark.parametrize("length", [1, 3, 5, 7])
def test_a_second_stream_that_is_cut_off_is_refused(kind, length):
    data = PACKED[kind] + PACKED[kind][:length]
    with pytest.raises(DamagedStreamError, match="ends too early"):
        list(decompress(io.BytesIO(data)))


@pytest.mark.usefixtures("gzip_library")
def test_a_bomb_comes_out_in_small_pieces():
    bomb = gzip.compress(bytes(64 << 20))
    assert max(map(len, decompress(io.BytesIO(bomb)))) <= PIECE


@pytest.mark.usefixtures("gzip_library")
@pytest.mark.parametrize("kind", WRITTEN)
@given(st.lists(st.binary(max_size=500)))
@settings(max_examples=20)
def test_what_is_written_is_read(kind, pieces):
    def packed() -> bytes:
        stream = io.BytesIO()
        with CompressedWriter(stream, kind) as writer:
            for piece in pieces:
                assert writer.write(memoryview(piece)) == len(piece)
        return stream.getvalue()

    assert b"".join(decompress(io.BytesIO(packed()))) == b"".join(pieces)
    assert packed() == packed()


def test_other_tools_read_what_is_written():
    stream = io.BytesIO()
    with CompressedWriter(stream, Compression.GZIP, level=9) as writer:
        writer.write(TEXT)
    assert zlib.decompress(stream.getvalue(), wbits=31) == TEXT
    assert stream.getvalue()[4:8] == bytes(4)  # no time


def test_some_are_only_read():
    with pytest.raises(ValueError, match="xz is only read"):
        CompressedWriter(io.BytesIO(), Compression.XZ)


def test_without_a_zstd_library_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "backports", None)
    with pytest.raises(SampanError, match="zstd is not supported") as caught:
        compression._zstd()
    assert "sampan[build]" in (caught.value.hint or "")


def test_stored_streams_are_written_as_they_are():
    stream = io.BytesIO()
    with CompressedWriter(stream, Compression.NONE) as writer:
        writer.write(memoryview(TEXT))
    assert stream.getvalue() == TEXT
