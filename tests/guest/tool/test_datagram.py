"""Datagrams as bytes; the host's side of the same, which is tested with VPNKit's, is the oracle."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.guest.agent.fault import AgentError
from sampan.guest.tool import datagram
from sampan.net.link.datagram import Datagram, Decoder
from sampan.net.link.error import LinkError


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_the_host_understands(payloads):
    stream = b"".join(map(datagram.framed, payloads))
    assert [each.payload for each in Decoder().received(stream)] == payloads


@given(
    st.lists(
        st.builds(
            Datagram,
            st.binary(max_size=40),
            st.sampled_from([b"", bytes(4), bytes(16)]),
            st.integers(0, 65535),
            st.binary(max_size=5),
        ),
        max_size=5,
    ),
    st.integers(1, 50),
)
def test_the_host_is_understood(datagrams, size):
    """In pieces of any size."""
    said = b"".join(each.emit() for each in datagrams)
    stream, found = bytearray(), []
    for start in range(0, len(said), size):
        stream += said[start : start + size]
        found += datagram.taken(stream)
    assert found == [each.payload for each in datagrams]
    assert not stream


def test_the_largest():
    payload = bytes(datagram.MAX_PAYLOAD)
    assert datagram.taken(bytearray(datagram.framed(payload))) == [payload]


@given(st.binary(max_size=60))
def test_anything(data):
    """It is what the host's side says it is; addresses are not looked at here."""
    try:
        expected = [each.payload for each in Decoder().received(data)]
    except LinkError:
        with suppress(AgentError):
            datagram.taken(bytearray(data))
    else:
        assert datagram.taken(bytearray(data)) == expected


@pytest.mark.parametrize("data", [b"\1\0", b"\x0a\0\0\0\0\0\0\0\1\0", b"\x0a\0\xff\xff" + bytes(6)])
def test_what_makes_no_sense(data):
    with pytest.raises(AgentError):
        datagram.taken(bytearray(data))
