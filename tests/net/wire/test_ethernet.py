import pytest
from scapy.layers.l2 import Ether

from sampan.net.wire.error import MalformedError
from sampan.net.wire.ethernet import EtherType, Frame

A, B = bytes.fromhex("02005e100001"), bytes.fromhex("02005e100002")


def test_scapy_reads_what_we_emit() -> None:
    seen = Ether(Frame(A, B, EtherType.IPV4, b"payload").emit())
    assert (seen.dst, seen.src, seen.type) == ("02:00:5e:10:00:01", "02:00:5e:10:00:02", 0x0800)


def test_round_trip() -> None:
    frame = Frame(A, B, 0x88CC, b"anything")
    assert Frame.parse(frame.emit()) == frame


def test_too_short() -> None:
    with pytest.raises(MalformedError, match="13 bytes"):
        Frame.parse(bytes(13))
