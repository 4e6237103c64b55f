import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.net.link.datagram import MAX_PAYLOAD, Datagram, Decoder
from sampan.net.link.error import LinkError

addresses = st.sampled_from([0, 4, 16]).flatmap(
    lambda size: st.binary(min_size=size, max_size=size)
)
datagrams = st.builds(
    Datagram, st.binary(max_size=40), addresses, st.integers(0, 65535), st.binary(max_size=5)
)


@given(st.lists(datagrams, max_size=5), st.integers(1, 60))
def test_datagrams_come_out_as_they_went_in_however_cut(sent, size):
    data = b"".join(each.emit() for each in sent)
    decoder = Decoder()
    found = []
    for start in range(0, len(data), size):
        found += decoder.received(data[start : start + size])
    assert found == sent


def test_the_bytes_in_the_channel():
    assert Datagram(b"hi", bytes([10, 0, 0, 1]), 53).emit() == (
        b"\x10\0" + b"\4\0\x0a\0\0\1" + b"\x35\0" + b"\0\0" + b"\2\0hi"
    )
    assert Datagram(b"").emit() == b"\x0a\0" + bytes(8)


def test_the_longest():
    longest = Datagram(bytes(MAX_PAYLOAD), bytes(16), 1)
    assert Decoder().received(longest.emit()) == [longest]


@pytest.mark.parametrize(
    "wrong",
    [Datagram(bytes(MAX_PAYLOAD + 1)), Datagram(bytes(MAX_PAYLOAD), bytes(16), 1, b"eth0")],
    ids=["payload", "with zone"],
)
def test_too_long_to_be_one(wrong):
    with pytest.raises(ValueError, match="UDP takes"):
        wrong.emit()


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0",
        b"\2\0",
        b"\x0a\0\xff\xff" + bytes(6),
        b"\x0b\0" + bytes(9),
        b"\x0d\0\3\0abc" + bytes(6),
    ],
    ids=["no length", "empty", "cut off", "too much", "address"],
)
def test_what_makes_no_sense(data):
    with pytest.raises(LinkError):
        Decoder().received(data)


@given(st.binary(max_size=40))
def test_noise(noise):
    try:
        Decoder().received(noise)
    except LinkError:
        return
