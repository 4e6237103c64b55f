import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.oci.tar import header as raw
from sampan.oci.tar.header import Header, decode, encode

TEXT = st.binary(max_size=32).filter(lambda text: b"\x00" not in text)
HEADERS = st.builds(
    Header,
    name=TEXT,
    mode=st.integers(0, 0o7777),
    uid=st.integers(0, 2**32),
    gid=st.integers(0, 2**32),
    size=st.integers(0, 2**60),
    mtime=st.integers(-(2**62), 2**62),
    type=st.sampled_from([b"0", b"5", b"2"]),
    target=TEXT,
    uname=TEXT,
    gname=TEXT,
    prefix=TEXT,
)


@given(HEADERS)
def test_what_is_written_is_read(header):
    block = encode(header)
    assert len(block) == raw.BLOCK
    assert decode(block) == header


def test_devices_are_kept():
    header = Header(b"null", type=b"3", device=(1, 2**24))
    assert decode(encode(header)) == header


@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT])
def test_blocks_of_the_standard_library_are_read(format_):
    info = tarfile.TarInfo("a/b")
    info.size, info.mtime, info.uid, info.uname = 5, 1234567890, 1000, "me"
    found = decode(info.tobuf(format_)[:512])
    assert (found.name, found.size, found.mtime, found.uid, found.uname) == (
        b"a/b", 5, 1234567890, 1000, b"me",
    )  # fmt: skip


def test_gnu_blocks_have_times_where_posix_has_the_prefix():
    block = bytearray(tarfile.TarInfo("a").tobuf(tarfile.GNU_FORMAT)[:512])
    block[345:357] = b"00000000001\x00"
    block[148:156] = b"        "
    block[148:156] = b"%06o\x00 " % sum(block)
    assert decode(bytes(block)).prefix == b""


def test_signed_checksums_of_old_tars_are_taken():
    block = bytearray(encode(Header(b"\xff\xfe")))
    block[148:156] = b"        "
    signed = sum(byte - 256 if byte > 127 else byte for byte in block)
    block[148:156] = b"%06o\x00 " % signed
    assert decode(bytes(block)).name == b"\xff\xfe"


def test_damage_is_found():
    block = bytearray(encode(Header(b"name")))
    block[0] ^= 1
    with pytest.raises(ValueError, match="checksum"):
        decode(bytes(block))


def test_a_field_that_is_no_number_is_named():
    block = bytearray(encode(Header(b"name")))
    block[124:136] = b"what is this"
    block[148:156] = b"        "
    block[148:156] = b"%06o\x00 " % sum(block)
    with pytest.raises(ValueError, match="the size of a header is not a number"):
        decode(bytes(block))


def test_a_text_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="does not fit in 100"):
        encode(Header(b"x" * 101))


def test_padding_fills_a_block():
    assert [raw.padding(size) for size in (0, 1, 512, 513)] == [0, 511, 0, 511]
