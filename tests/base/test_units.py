import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.base.units import format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1024", 1024),
        ("1K", 1024),
        ("1kB", 1024),
        ("1 KiB", 1024),
        (" 512M ", 512 << 20),
        ("1.5GiB", 3 << 29),
        ("2T", 2 << 40),
        ("1p", 1 << 50),
        ("10B", 10),
    ],
)
def test_sizes_people_write(text, size):
    assert parse_size(text) == size


def test_a_bare_number_counts_in_the_unit_asked_for():
    assert parse_size("2", unit="G") == 2 << 30
    assert parse_size("2K", unit="G") == 2048
    assert parse_size("500B", unit="M") == 500


@pytest.mark.parametrize(
    "text", ["", "G", "-1", "1X", "1.G", "0x10", "1,5G", "٣"[:0] + "1e3", "1 2"]
)
def test_what_is_not_a_size_is_refused(text):
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1024, "1.00 KiB"),
        (1536 << 10, "1.50 MiB"),
        (120 << 20, "120 MiB"),
        (15 << 30, "15.0 GiB"),
        (5000 << 50, "5000 PiB"),
    ],
)
def test_sizes_for_people(size, text):
    assert format_size(size) == text


@given(st.integers(min_value=0, max_value=1 << 60))
def test_what_we_print_we_read_nearly(size):
    assert parse_size(format_size(size)) == pytest.approx(size, rel=0.01)
