"""Headers, and packets wherever their pieces lie."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.vhost.core.error import RemoteProtocolError
from sampan.vhost.core.vsock_packet import HEADER_LENGTH, Op, Packet, Shut, parse

NUMBER = st.integers(0, 2**32 - 1)
PACKETS = st.builds(
    Packet, st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), NUMBER, NUMBER,
    st.integers(0, 300), st.integers(0, 65535), st.integers(0, 65535), NUMBER, NUMBER, NUMBER,
)  # fmt: skip


def test_a_header_as_the_standard_has_it():
    header = Packet(3, 2, 1024, 80, 5, 1, Op.RW, Shut.BOTH, 0x10000, 7).emit()
    assert header.hex(" ", 4) == (
        "03000000 00000000 02000000 00000000 00040000 50000000 05000000 01000500 03000000 "
        "00000100 07000000"
    )
    assert len(header) == HEADER_LENGTH == 44


@given(PACKETS, st.lists(st.integers(1, 120), max_size=8), st.binary(max_size=40))
def test_a_packet_lies_in_any_pieces(packet, cuts, beyond):
    data = bytes(number % 251 for number in range(packet.length))
    whole = memoryview(packet.emit() + data + beyond)
    pieces, at = [], 0
    for cut in cuts:
        pieces.append(whole[at : at + cut])
        at += cut
    found, views = parse([*pieces, whole[at:]])
    assert found == packet
    assert b"".join(views) == data


@pytest.mark.parametrize(
    ("buffers", "why"),
    [
        ([], "a packet of 0 bytes"),
        ([memoryview(bytes(43))], "a packet of 43 bytes"),
        ([memoryview(Packet(3, 2, 1, 1, 9, 1, 5).emit() + b"12345678")], "lacks 1 of its 9"),
    ],
)
def test_what_is_no_packet(buffers, why):
    with pytest.raises(RemoteProtocolError, match=why):
        parse(buffers)
