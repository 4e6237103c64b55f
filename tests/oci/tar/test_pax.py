import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.oci.tar import pax

KEY = st.text(min_size=1, max_size=8).filter(lambda key: "=" not in key)


@given(st.dictionaries(KEY, st.binary(max_size=120)))
def test_records_round_trip(records):
    data = pax.encode(records)
    assert pax.decode(data) == records
    assert pax.encode(dict(reversed(records.items()))) == data


@pytest.mark.parametrize("size", range(85, 105))
def test_the_length_counts_its_own_digits(size):
    data = pax.encode({"k": b"v" * size})
    assert int(data.split(b" ")[0]) == len(data)


@given(st.integers(-(2**63), 2**63))
def test_times_round_trip(time_ns):
    assert pax.time_ns({"mtime": pax.format_time(time_ns)}, "mtime", 0) == time_ns


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [(b"1.5", 1_500_000_000), (b"-0.25", -250_000_000), (b"12", 12 * 10**9),
     (b"1.", 10**9), (b"1.1234567891", 1_123_456_789), (b"", 7)],
)  # fmt: skip
def test_times(text, time_ns):
    assert pax.time_ns({"mtime": text}, "mtime", 7) == time_ns


def test_zeros_after_the_records_are_filling():
    assert pax.decode(b"6 a=b\n\x00\x00") == {"a": b"b"}


@pytest.mark.parametrize(
    "data", [b"x", b"6 a=b", b"7 a=b\n", b"99999999999999999999 a=b\n", b"4 a\n", b"5 =b\n",
             b"-6 a=b\n", b"0 a=b\n", b"2 a=b\n", b"\xb2 a=b\n"],
)  # fmt: skip
def test_other_text_is_refused(data):
    with pytest.raises(ValueError, match="an extended header has"):
        pax.decode(data)


def test_numbers():
    assert pax.number({"size": b"12"}, "size", 3) == 12
    assert pax.number({"size": b""}, "size", 3) == 3
    for bad in (b"-1", b"1.5", b"x", b"1" * 21):
        with pytest.raises(ValueError, match="the size of an extended header is not a number"):
            pax.number({"size": bad}, "size", 3)
    with pytest.raises(ValueError, match="is not a time"):
        pax.time_ns({"mtime": b"now"}, "mtime", 3)


def test_both_spellings_of_extended_attributes():
    records = {
        "SCHILY.xattr.user.b": b"\x00\x01",
        "LIBARCHIVE.xattr.user.b": b"AAA",
        "LIBARCHIVE.xattr.user.a%3D%41": b"AAE",
        "path": b"x",
    }
    assert pax.xattrs(records) == (("user.a=A", b"\x00\x01"), ("user.b", b"\x00\x01"))


@pytest.mark.parametrize(
    "records", [{"SCHILY.xattr.": b""}, {"SCHILY.xattr.a\0": b""}, {"LIBARCHIVE.xattr.a": b"A"}]
)
def test_bad_extended_attributes_are_refused(records):
    with pytest.raises(ValueError, match="an extended attribute"):
        pax.xattrs(records)


def test_sparse_is_seen():
    assert pax.is_sparse({"GNU.sparse.map": b""})
    assert not pax.is_sparse({"path": b""})
