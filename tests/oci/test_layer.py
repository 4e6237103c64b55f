import gzip
import hashlib
import io
import zlib

import msgspec
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from sampan.base.entry import Entry, Kind
from sampan.oci.compression import DamagedStreamError
from sampan.oci.digest import Digest
from sampan.oci.layer import LayerEntry, LayerIndex, dump, load, scan
from sampan.oci.limit import LimitError, Limits
from sampan.oci.tar import InvalidTarError

NAME = st.binary(max_size=12).map(lambda name: name.decode("utf-8", "surrogateescape"))
ENTRY = st.builds(
    Entry,
    name=NAME,
    kind=st.sampled_from(list(Kind)),
    mode=st.integers(0, 0o7777),
    mtime_ns=st.integers(-(2**63), 2**63 - 1),
    target=NAME,
    xattrs=st.lists(st.tuples(NAME, st.binary(max_size=4)), max_size=2).map(tuple),
    uname=NAME,
)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd.compress])
def test_scan_finds_everything_in_one_pass(layer, item, pack):
    data = layer([item("d/"), item("d/f", b"hello"), item(".wh.x"), item("l", to="d/f")])
    index = scan(io.BytesIO(pack(data)))
    assert index.diff_id == Digest.of(data)
    assert index.size == len(data)
    assert [found.entry.name for found in index.entries] == ["d", "d/f", ".wh.x", "l"]
    file = index.entries[1]
    assert data[file.offset : file.offset + 5] == b"hello"
    assert file.digest == hashlib.sha256(b"hello").digest()
    assert index.entries[0] == LayerEntry(index.entries[0].entry)


def test_bytes_behind_the_archive_count_in_the_diff_id(layer, item):
    data = layer([item("f", b"x" * 5000)]) + bytes(3_000_000)
    assert scan(io.BytesIO(data)).diff_id == Digest.of(data)


@given(st.lists(st.builds(LayerEntry, ENTRY, st.integers(0, 2**40), st.binary()), max_size=5))
def test_an_index_round_trips_whatever_the_names_are(entries):
    index = LayerIndex(Digest.of(b""), 7, tuple(entries))
    assert load(dump(index)) == index


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff", b"x" * 100, msgspec.msgpack.encode([99, "sha256:1", 0, [], []]),
     msgspec.msgpack.encode([1, "sha256:1", 0, [], []]),
     msgspec.msgpack.encode([1, str(Digest.of(b"")), 0, [5], []])],
)  # fmt: skip
def test_an_unreadable_index_is_none(data):
    assert load(data) is None
    assert load(zlib.crc32(data).to_bytes(4) + data) is None


def test_an_index_that_rotted_is_none(layer, item):
    data = dump(scan(io.BytesIO(layer([item("a", b"1")]))))
    for position in range(len(data)):
        assert load(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]) is None


def test_bad_layers_are_refused_by_name(layer, item):
    data = gzip.compress(layer([item("f", bytes(range(256)) * 99)]))
    with pytest.raises(DamagedStreamError, match="layer 9: the gzip stream ends too early"):
        scan(io.BytesIO(data[:-20]), what="layer 9")
    with pytest.raises(InvalidTarError, match="layer 9: "):
        scan(io.BytesIO(b"hello" * 1000), what="layer 9")
    bomb = gzip.compress(bytes(8 << 20))
    with pytest.raises(LimitError, match=r"layer 9: more than 4.00 MiB .*total_bytes"):
        scan(io.BytesIO(bomb), limits=Limits(total_bytes=4 << 20), what="layer 9")
