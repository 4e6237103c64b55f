"""The log of pages that were written."""

import pytest

from sampan.vhost.core.dirty import DirtyLog


@pytest.mark.parametrize(
    ("address", "length", "expected"),
    [
        (0, 1, b"\1\0"),
        (0, 4096, b"\1\0"),
        (4095, 2, b"\3\0"),
        (7 * 4096, 2 * 4096, b"\x80\1"),
        (4096, 0, b"\0\0"),
        (15 * 4096, 1 << 40, b"\0\x80"),  # what is beyond the log is not marked
        (1 << 60, 1, b"\0\0"),
    ],
)
def test_pages_are_marked(address, length, expected):
    bits = bytearray(2)
    DirtyLog(memoryview(bits)).mark(address, length)
    assert bits == expected


def test_marks_stay():
    bits = bytearray(b"\x10")
    DirtyLog(memoryview(bits)).mark(0, 1)
    assert bits == b"\x11"
