import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.net.link import multiplex
from sampan.net.link.error import LinkError
from sampan.net.link.multiplex import (
    Close,
    Data,
    Decoder,
    Destination,
    Open,
    Protocol,
    Shutdown,
    Window,
)

WEB = Destination(Protocol.TCP, bytes([10, 0, 0, 1]), 80)
ids = st.integers(0, 2**32 - 1)
destinations = st.one_of(
    st.builds(
        Destination,
        st.sampled_from([Protocol.TCP, Protocol.UDP]),
        st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16),
        st.integers(0, 65535),
    ),
    st.builds(Destination, st.just(Protocol.UNIX), path=st.binary(max_size=50)),
)
frames = st.one_of(
    st.builds(Open, ids, destinations),
    st.builds(Close, ids),
    st.builds(Shutdown, ids),
    st.builds(Data, ids, st.binary(max_size=60)),
    st.builds(Window, ids, st.integers(0, 2**64 - 1)),
)


@given(st.lists(frames, max_size=6), st.integers(1, 50))
def test_frames_come_out_as_they_went_in_however_cut(sent, size):
    data = multiplex.greeting(b"hi") + b"".join(map(multiplex.emit, sent))
    decoder = Decoder()
    found = []
    for start in range(0, len(data), size):
        found += decoder.received(data[start : start + size])
    assert found == sent
    assert decoder.rest == b""


def test_the_bytes_on_the_wire():
    assert multiplex.greeting() == b"https://github.com/moby/vpnkit multiplexer protocol\n\0\0"
    assert multiplex.emit(Open(5, WEB)) == (
        b"\x11\0" + b"\1" + b"\5\0\0\0" + b"\2" + b"\1\4\0\x0a\0\0\1\x50\0"
    )
    assert multiplex.emit(Data(5, b"abc")) == b"\x0b\0\4\5\0\0\0\3\0\0\0abc"
    assert multiplex.emit(Window(5, 65536)) == b"\x0f\0\5\5\0\0\0\0\0\1\0\0\0\0\0"
    assert multiplex.emit(Close(5)) == b"\7\0\2\5\0\0\0"


def test_a_dedicated_channel_takes_the_rest_of_the_stream():
    decoder = Decoder()
    data = multiplex.greeting() + multiplex.emit(Open(1, WEB, dedicated=True)) + b"GET /"
    assert decoder.received(data) == [Open(1, WEB, dedicated=True)]
    assert decoder.received(b" HTTP") == []
    assert decoder.rest == b"GET / HTTP"


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\2\0\0\0\0",
        b"\7\0\x09\0\0\0\0",
        b"\x08\0\2\0\0\0\0x",
        b"\x08\0\1\0\0\0\0\3",
        b"\x08\0\1\0\0\0\0\2",
        b"\x0d\0\1\0\0\0\0\2\1\5\0xx",
        b"\x0b\0\1\0\0\0\0\2\4\0\0",
        b"\x0b\0\4\0\0\0\0\xff\xff\xff\xff",
    ],
    ids=["short", "unknown", "long close", "connection", "nowhere", "address", "protocol", "flood"],
)
def test_what_makes_no_sense(data):
    with pytest.raises(LinkError):
        Decoder().received(multiplex.greeting() + data)


def test_another_protocol_is_noticed_at_once():
    with pytest.raises(LinkError, match="forwarder protocol"):
        Decoder().received(b"GET")


@given(st.binary(max_size=60))
def test_noise(noise):
    try:
        Decoder().received(multiplex.greeting() + noise)
    except LinkError:
        return
