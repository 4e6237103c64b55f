import zlib

import pytest
from backports import zstd

from sampan.formats import codec
from sampan.formats.codec import Compression

DATA = bytes(range(256)) * 40_000 + zlib.compress(b"x" * 10_000_000)


def compress(compression, data=DATA, step=100_000):
    one = codec.compressor(compression, len(data))
    pieces = [one.feed(data[at : at + step]) for at in range(0, len(data), step)]
    return b"".join([*pieces, one.finish()])


def test_zstd_is_one_frame_that_tells_its_size_and_needs_little_memory():
    frame = compress(Compression.ZSTD)
    assert zstd.get_frame_size(frame) == len(frame)
    assert zstd.get_frame_info(frame).decompressed_size == len(DATA)
    window = zstd.DecompressionParameter.window_log_max
    assert zstd.decompress(frame, options={window: 23}) == DATA


@pytest.mark.parametrize("compression", Compression)
@pytest.mark.parametrize("size", [0, 5, 600_000, len(DATA)])
def test_the_bytes_do_not_depend_on_how_they_are_fed(compression, size):
    data = DATA[:size]
    assert compress(compression, data, 4096) == compress(compression, data, 1 << 20)


def test_the_bytes_do_not_depend_on_the_number_of_threads(monkeypatch):
    two = compress(Compression.ZSTD)
    monkeypatch.setattr(codec, "_THREADS", 1)
    assert compress(Compression.ZSTD) == two
    monkeypatch.setattr(codec, "_THREADS", 4)
    assert compress(Compression.ZSTD) == two


def test_gzip_has_no_time_in_its_header():
    member = compress(Compression.GZIP)
    assert member[4:8] == bytes(4)
    assert zlib.decompress(member, 31) == DATA


def test_none_is_none():
    assert compress(Compression.NONE, b"abc") == b"abc"


@pytest.mark.parametrize("compression", Compression)
def test_identity_names_the_method(compression):
    name = codec.identity(compression)
    assert name
    assert name != codec.identity(
        Compression.NONE if compression is Compression.ZSTD else Compression.ZSTD
    )
