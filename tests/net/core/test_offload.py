"""Frames between links that can do different things; scapy checks what comes out."""

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from sampan.net.core.limit import Limits
from sampan.net.core.offload import adapt
from sampan.net.core.port import Port
from sampan.net.wire.checksum import pseudo_sum
from sampan.net.wire.vnet import Offload

PLAIN, TAP, VHOST = (Port(number, Limits(), head=head) for number, head in enumerate((0, 10, 12)))


def superframe(size, six=False, flags="PA", kind=None):
    ip = IPv6(src="fd00::1", dst="fd00::2") if six else IP(src="10.0.0.1", dst="10.0.0.2", id=9)
    layer = (
        Ether()
        / ip
        / TCP(sport=1, dport=2, seq=0xFFFFFF00, flags=flags, options=[("NOP", None)] * 4)
    )
    data = bytearray(bytes(layer / bytes(number & 255 for number in range(size))))
    start = 54 if six else 34
    length = len(data) - start
    addresses = data[22:54] if six else data[26:34]
    data[start + 16 : start + 18] = pseudo_sum(bytes(addresses), b"", 6, length).to_bytes(2, "big")
    kind = kind if kind is not None else (4 if six else 1)
    return Offload(1, kind, start + 24, 1000, start, 16).emit() + bytes(data)


def check(frame):
    """The frame is what scapy would have made of its fields."""
    layer = Ether(frame)
    again = Ether(frame)
    for kind, names in ((IP, ("chksum", "len")), (IPv6, ("plen",)), (TCP, ("chksum",)), (UDP, ("chksum",))):  # fmt: skip
        if kind in again:
            for name in names:
                delattr(again[kind], name)
    assert bytes(again) == frame
    return layer


@pytest.mark.parametrize("six", [False, True])
@pytest.mark.parametrize("size", [1, 1000, 1001, 5500])
def test_superframe_is_cut(six, size):
    frame = superframe(size, six, "FPA")
    layers = [check(part) for part in adapt(memoryview(frame), TAP, PLAIN)]
    assert [len(layer[TCP].payload) for layer in layers] == [1000] * (size // 1000) + [
        size % 1000
    ] * bool(size % 1000)
    joined = b"".join(bytes(layer[TCP].payload) for layer in layers)
    assert joined == bytes(number & 255 for number in range(size))
    assert [layer[TCP].seq for layer in layers] == [
        (0xFFFFFF00 + 1000 * n) & 0xFFFFFFFF for n in range(len(layers))
    ]
    assert [str(layer[TCP].flags) for layer in layers] == ["A"] * (len(layers) - 1) + ["FPA"]
    if not six:
        assert [layer[IP].id for layer in layers] == [9 + n for n in range(len(layers))]


def test_checksum_is_finished():
    [frame] = adapt(memoryview(superframe(100, kind=0)), TAP, PLAIN)
    check(frame)


def test_between_ports_with_offload():
    frame = superframe(5000)
    assert list(adapt(memoryview(frame), TAP, TAP)) == [frame]
    [longer] = adapt(memoryview(frame), TAP, VHOST)
    assert longer == frame[:10] + bytes(2) + frame[10:]
    [shorter] = adapt(memoryview(longer), VHOST, TAP)
    assert shorter == frame


def test_from_a_port_without():
    assert list(adapt(memoryview(b"frame"), PLAIN, TAP)) == [bytes(10) + b"frame"]
    assert list(adapt(memoryview(b"frame"), PLAIN, PLAIN)) == [b"frame"]


@pytest.mark.parametrize("offload", [
    Offload(1, 3, 0, 1000, 34, 6), Offload(1, 1, 0, 0, 34, 16), Offload(1, 1, 0, 1000, 60000, 16), Offload(1, 1, 0, 1000, 0, 16),
])  # fmt: skip
def test_headers_that_make_no_sense(offload):
    frame = offload.emit() + superframe(3000)[10:]
    assert list(adapt(memoryview(frame), TAP, PLAIN)) == []


def test_unknown_kind():
    frame = bytearray(superframe(3000))
    frame[1] = 9
    assert list(adapt(memoryview(frame), TAP, PLAIN)) == []


def test_tiny_segments_do_not_make_a_flood():
    frame = bytearray(superframe(60_000))
    frame[4:6] = (1).to_bytes(2, "little")
    assert len(list(adapt(memoryview(frame), TAP, PLAIN))) <= 1024
