"""Messages: what is taken, and what is not."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.vhost.core import message
from sampan.vhost.core.error import RemoteProtocolError
from sampan.vhost.core.memory import Region
from sampan.vhost.core.message import Decoder, Message, Request


def decode(data, fds=()):
    return Decoder().received(data, fds)


def make(request, payload=b"", fds=()):
    return Message(request, False, payload, fds)


def test_a_message_comes_in_pieces(words):
    decoder = Decoder()
    data = words.request(Request.SET_VRING_KICK, words.number(1), flags=9)
    assert decoder.wanted == 12
    assert decoder.received(data[:5], (7,)) is None
    assert decoder.wanted == 7
    assert decoder.received(data[5:12]) is None
    assert decoder.wanted == 8
    assert list(decoder.fds) == [7]
    assert decoder.received(data[12:]) == Message(
        Request.SET_VRING_KICK, True, words.number(1), (7,)
    )
    assert decoder.wanted == 12
    assert list(decoder.fds) == []


def test_nothing_follows_a_header_without_payload(words):
    assert decode(words.request(Request.SET_OWNER)) == make(Request.SET_OWNER)


@pytest.mark.parametrize(
    ("number", "payload", "flags", "fds", "complaint"),
    [
        (1, b"", 0, (), "no request of version 1"),
        (1, b"", 2, (), "no request of version 1"),
        (1, b"", 5, (), "no request of version 1"),
        (99, b"", 1, (), "request 99 was not negotiated"),
        (1, b"", 1, (3,), "GET_FEATURES with descriptors"),
        (5, b"", 1, tuple(range(9)), "more than 8 descriptors"),
    ],
)
def test_what_is_no_message(words, number, payload, flags, fds, complaint):
    with pytest.raises(RemoteProtocolError, match=complaint):
        decode(words.request(number, payload, flags=flags), fds)


def test_a_payload_is_bounded(words):
    with pytest.raises(RemoteProtocolError, match="a payload of 4097 bytes"):
        decode(message.HEADER.pack(2, 1, 4097))
    assert Decoder().received(message.HEADER.pack(2, 1, 4096)) is None


@given(st.binary(max_size=200), st.integers(1, 20))
def test_any_bytes_are_a_message_or_a_fault(data, piece):
    decoder = Decoder()
    try:
        while data:
            size = min(decoder.wanted, piece)
            decoder.received(data[:size])
            data = data[size:]
    except RemoteProtocolError:
        pass


def test_numbers_and_states(words):
    assert make(Request.SET_FEATURES, words.number(1 << 63)).number() == 1 << 63
    assert make(Request.SET_VRING_NUM, words.state(1, 256)).state() == (1, 256)
    for wrong in (b"", b"1234567", b"123456789"):
        with pytest.raises(RemoteProtocolError, match=f"SET_FEATURES with {len(wrong)} bytes"):
            make(Request.SET_FEATURES, wrong).number()


def test_memory_tables(words):
    rows = ((0, 4096, 1 << 40, 0), (8192, 4096, 1 << 41, 4096))
    assert make(Request.SET_MEM_TABLE, words.table(*rows), (4, 5)).regions() == (
        Region(*rows[0]),
        Region(*rows[1]),
    )
    with pytest.raises(RemoteProtocolError, match="2 regions of memory with 1 descriptors"):
        make(Request.SET_MEM_TABLE, words.table(*rows), (4,)).regions()
    with pytest.raises(RemoteProtocolError, match="bytes of payload"):
        make(Request.SET_MEM_TABLE, words.table(*rows)[:-1], (4, 5)).regions()
    with pytest.raises(RemoteProtocolError, match="bytes of payload"):
        make(Request.SET_MEM_TABLE, struct.pack("<II", 9, 0) + bytes(9 * 32)).regions()
    with pytest.raises(RemoteProtocolError, match="bytes of payload"):
        make(Request.SET_MEM_TABLE, b"").regions()


def test_a_ring_has_a_descriptor_or_says_that_it_has_none(words):
    assert make(Request.SET_VRING_CALL, words.number(1), (9,)).ring_fd() == (1, 9)
    assert make(Request.SET_VRING_CALL, words.number(0x101)).ring_fd() == (1, None)
    for value, fds in ((1, ()), (0x101, (9,)), (1, (9, 10))):
        with pytest.raises(RemoteProtocolError, match="descriptors instead of"):
            make(Request.SET_VRING_CALL, words.number(value), fds).ring_fd()


def test_logs():
    payload = struct.pack("<QQ", 4096, 8192)
    assert make(Request.SET_LOG_BASE, payload, (3,)).log() == (4096, 8192, 3)
    with pytest.raises(RemoteProtocolError, match="a log with 0 descriptors"):
        make(Request.SET_LOG_BASE, payload).log()


def test_configuration():
    payload = struct.pack("<III", 8, 4, 0) + bytes(4)
    assert make(Request.GET_CONFIG, payload).config() == (8, 4)
    with pytest.raises(RemoteProtocolError, match="GET_CONFIG with 11 bytes"):
        make(Request.GET_CONFIG, payload[:11]).config()
    assert message.reply_config(Request.GET_CONFIG, 8, b"abcd") == bytes.fromhex(
        "18000000 05000000 10000000 08000000 04000000 00000000 61626364"
    )
    assert message.reply_config(Request.GET_CONFIG, 8, b"")[8:] == bytes(4)


def test_answers():
    assert message.reply_number(Request.GET_FEATURES, 1) == bytes.fromhex(
        "01000000 05000000 08000000 0100000000000000"
    )
    assert message.reply_state(Request.GET_VRING_BASE, 1, 7) == bytes.fromhex(
        "0b000000 05000000 08000000 01000000 07000000"
    )
