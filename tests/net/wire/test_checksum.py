import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.net.wire import checksum


def slow_sum(data: bytes) -> int:
    """RFC 1071, section 4.1, word by word."""
    total = sum(
        int.from_bytes(data[i : i + 2].ljust(2, b"\0"), "big") for i in range(0, len(data), 2)
    )
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@given(st.binary(max_size=200))
def test_word_sum_is_the_sum_of_words(data: bytes) -> None:
    assert checksum.word_sum(data) == slow_sum(data)


@pytest.mark.parametrize("size", [255, 256, 257, 511, 1023, 1024, 1460, 1461, 65535, 131071])
@pytest.mark.parametrize("pattern", [b"\x00", b"\xff", bytes(range(251)), b"\xff\xfe"])
def test_long_data_is_folded_to_the_same_sum(size: int, pattern: bytes) -> None:
    data = (pattern * (size // len(pattern) + 1))[:size]
    assert checksum.word_sum(data) == slow_sum(data)
    assert checksum.residue(data) == slow_sum(data) % 0xFFFF


@given(st.lists(st.binary(min_size=2, max_size=6).filter(lambda b: len(b) % 2 == 0), max_size=4))
def test_parts_sum_like_the_whole(parts: list[bytes]) -> None:
    assert checksum.checksum(*parts) == checksum.checksum(b"".join(parts))


def test_the_example_of_rfc_1071() -> None:
    assert checksum.word_sum(bytes.fromhex("0001f203f4f5f6f7")) == 0xDDF2


def test_data_with_its_checksum_verifies_and_no_other() -> None:
    body = b"some even!"
    good = checksum.checksum(body).to_bytes(2, "big") + body
    assert checksum.verifies(good)
    assert not checksum.verifies(good[:-1] + b"?")


def test_all_ones_is_not_all_zeros() -> None:
    assert checksum.word_sum(b"\xff\xff") == 0xFFFF
    assert checksum.word_sum(b"\0\0") == 0
