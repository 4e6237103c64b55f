import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.net.runtime.view.plain import Plain, plain
from sampan.net.wire.vnet import MERGED_HEADER_LENGTH


def test_a_frame_without_offload_is_as_it_is(make_frame):
    frame = make_frame()
    assert plain((frame,), 0) == Plain(frame, len(frame))
    assert plain((frame,), 0, 20) == Plain(frame[:20], len(frame))


@pytest.mark.parametrize("cut", [0, 5, 10, 30, 60])
@pytest.mark.parametrize("snap", [0, 1, 20, 1000])
def test_buffers_are_joined(make_frame, cut, snap):
    frame = make_frame()
    data = bytes(10) + frame
    got = plain((memoryview(data)[:cut], b"", data[cut:]), 10, snap)
    assert got == Plain(frame[: snap or None], len(frame))


@pytest.mark.parametrize("payload", [b"hello", b"odd", b"", b"x" * 40_000])
def test_checksums_are_finished(make_frame, make_offloaded, payload):
    assert plain((make_offloaded(payload),), 10) == Plain(make_frame(payload), 54 + len(payload))


def test_a_frame_that_is_cut_keeps_what_was_there(make_offloaded):
    frame = make_offloaded()
    assert plain((frame,), 10, 54).data == frame[10:64]


def test_a_superframe_says_how_it_will_be_cut(make_offloaded, make_frame):
    got = plain((make_offloaded(b"x" * 5000, 1460),), 10)
    assert got.comment == "to be cut by the device into segments of 1460 bytes"
    assert got.data == make_frame(b"x" * 5000)


def test_longer_heads(make_offloaded, make_frame):
    data = make_offloaded()
    longer = data[:10] + b"\1\0" + data[10:]
    assert plain((longer,), MERGED_HEADER_LENGTH).data == make_frame()


@given(
    st.lists(st.binary(max_size=30), max_size=3), st.sampled_from([0, 10, 12]), st.integers(0, 40)
)
def test_any_bytes(buffers, head, snap):
    got = plain(buffers, head, snap)
    assert got.length == max(0, sum(map(len, buffers)) - head)
    assert len(got.data) == (min(got.length, snap) if snap else got.length)
