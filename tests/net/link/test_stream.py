import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.net.link.error import LinkError
from sampan.net.link.stream import MAX_FRAME, QEMU, VMNET, Decoder, is_hello


@pytest.mark.parametrize("framing", [QEMU, VMNET])
@given(frames=st.lists(st.binary(min_size=1, max_size=60), max_size=6), size=st.integers(1, 40))
def test_frames_come_out_as_they_went_in_however_cut(framing, frames, size):
    data = b"".join(map(framing.encode, frames))
    decoder = Decoder(framing)
    found = []
    for start in range(0, len(data), size):
        found += decoder.received(memoryview(data)[start : start + size])
    assert found == frames


def test_lengths_as_the_peers_write_them():
    assert QEMU.encode(b"abc") == b"\0\0\0\x03abc"
    assert VMNET.encode(b"abc") == b"\x03\0abc"
    assert QEMU.header(258) == b"\0\0\1\2"


def test_empty_frames_are_passed_over():
    assert Decoder(QEMU).received(bytes(8) + QEMU.encode(b"x")) == [b"x"]


def test_the_largest_frame():
    frame = bytes(MAX_FRAME)
    assert Decoder(QEMU).received(QEMU.encode(frame)) == [frame]
    with pytest.raises(ValueError, match="takes 65553"):
        QEMU.encode(frame + b"x")
    with pytest.raises(ValueError, match="takes 65535"):
        VMNET.encode(frame)


def test_another_protocol_is_noticed():
    with pytest.raises(LinkError, match="1195725856 bytes"):
        Decoder(QEMU).received(b"GET / HTTP/1.1\r\n")


def test_vfkits_greeting_is_no_frame():
    assert is_hello(memoryview(b"VFKT"))
    assert not is_hello(b"VFKT" + bytes(60))
