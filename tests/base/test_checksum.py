import sys
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.base import checksum


@pytest.fixture(params=["isal", "zlib"])
def library(request, monkeypatch):
    if request.param == "zlib":
        monkeypatch.setitem(sys.modules, "isal", None)
    checksum._function.cache_clear()
    yield request.param
    checksum._function.cache_clear()


def test_the_value_that_everybody_knows(library):
    assert checksum.crc32(b"123456789") == 0xCBF43926


@given(st.binary(), st.binary())
def test_pieces_add_up(one, two):
    assert checksum.crc32(two, checksum.crc32(one)) == zlib.crc32(one + two)


@pytest.mark.parametrize("length", [0, 1, (1 << 18) + 1, 700_000])
def test_the_beginning_of_a_file(tmp_path, length):
    data = bytes(range(256)) * 4000
    (tmp_path / "f").write_bytes(data)
    with (tmp_path / "f").open("rb") as stream:
        assert checksum.crc32_of_file(stream.fileno(), length) == zlib.crc32(data[:length])
        assert stream.tell() == 0


def test_a_file_that_is_too_short(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    with (tmp_path / "f").open("rb") as stream, pytest.raises(EOFError, match="2 bytes short"):
        checksum.crc32_of_file(stream.fileno(), 5)
