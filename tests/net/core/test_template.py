"""Headers in place, against what scapy thinks of them."""

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from sampan.net.core.buffer import HEADROOM, SendBuffer
from sampan.net.core.endpoint import Endpoint
from sampan.net.core.template import Line, Template
from sampan.net.wire.address import parse_ip
from sampan.net.wire.tcp import Flag, Options
from sampan.net.wire.vnet import Offload

ENDS = {
    4: (Endpoint(parse_ip("93.184.216.34"), 443), Endpoint(parse_ip("192.168.65.3"), 40001)),
    6: (Endpoint(parse_ip("2001:db8::1"), 443), Endpoint(parse_ip("fdc0:a841:6500::3"), 40001)),
}


def template(family=4, head=0, mss=1460, stamped=False):
    source, destination = ENDS[family]
    made = Template(Line(b"\x02\0\0\0\0\1", b"\x02\0\0\0\0\2", source, destination, head))
    made.sized(mss, stamped=stamped)
    return made


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("stamped", [False, True])
@pytest.mark.parametrize("size", [1, 2, 999, 1400])
def test_scapy_agrees_with_filled_headers(family, stamped, size):
    buffer = SendBuffer()
    buffer.payload[:size] = bytes(number * 7 & 255 for number in range(size))
    start = template(family, stamped=stamped).fill(buffer, size, 0xFFFFFFFE, 77, 1234, (5, 6))
    frame = bytes(buffer.view[start : HEADROOM + size])
    layer = Ether(frame)
    segment = layer[TCP]
    assert (segment.sport, segment.dport, segment.seq, segment.ack) == (443, 40001, 0xFFFFFFFE, 77)
    assert (segment.window, str(segment.flags)) == (1234, "PA")
    assert bytes(segment.payload) == bytes(buffer.payload[:size])
    if stamped:
        assert ("Timestamp", (5, 6)) in segment.options
    for kind, names in ((IP, ("chksum", "len")), (IPv6, ("plen",)), (TCP, ("chksum", "dataofs"))):
        if kind in layer:
            for name in names:
                delattr(layer[kind], name)
    assert bytes(layer) == frame


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("head", [10, 12])
def test_offload_finishes_the_checksum(family, head):
    """The device sums from `checksum_start`, the field holding the pseudo header's sum."""
    data = bytes(template(family, head).header(1, 2, Flag.ACK, 3, payload=b"abc")) + b"abc"
    offload = Offload.parse(data)
    frame = bytearray(data[head:])
    start, at = offload.checksum_start, offload.checksum_start + offload.checksum_offset
    from sampan.net.wire.checksum import checksum

    frame[at : at + 2] = checksum(bytes(frame[start:])).to_bytes(2, "big")
    plain = bytes(template(family, 0).header(1, 2, Flag.ACK, 3, payload=b"abc")) + b"abc"
    assert bytes(frame) == plain
    assert offload.segmentation == 0


@pytest.mark.parametrize("family", [4, 6])
def test_superframe(family):
    buffer = SendBuffer()
    start = template(family, 10, stamped=True, mss=1448).fill(buffer, 60_000, 1, 2, 3, (4, 5))
    offload = Offload.parse(buffer.view[start:])
    assert offload.segmentation == (1 if family == 4 else 4)
    assert offload.segment_size == 1448
    assert offload.header_length == (66 if family == 4 else 86)
    layer = Ether(bytes(buffer.view[start + 10 : HEADROOM + 60_000]))
    assert len(layer[TCP].payload) == 60_000


def test_options_of_any_segment():
    options = Options(mss=1460, window_shift=7, sack_permitted=True).emit()
    layer = Ether(bytes(template().header(9, 0, Flag.SYN, 65535, options)))
    names = [name for name, _ in layer[TCP].options]
    assert {"MSS", "WScale", "SAckOK"} <= set(names)
    assert layer[TCP].flags == "S"
    assert template(stamped=True).stamps((1, 2)) == bytes.fromhex("0101080a0000000100000002")
    assert template().stamps((1, 2)) == b""
