import pytest
from scapy.layers.l2 import ARP

from sampan.net.wire.arp import Arp, Operation
from sampan.net.wire.error import MalformedError

PACKET = Arp(
    Operation.REPLY, bytes.fromhex("02005e100001"), bytes([192, 168, 65, 1]), bytes.fromhex("02005e100002"), bytes([192, 168, 65, 9])
)  # fmt: skip


def test_scapy_reads_what_we_emit() -> None:
    seen = ARP(PACKET.emit())
    assert (seen.op, seen.hwsrc, seen.psrc) == (2, "02:00:5e:10:00:01", "192.168.65.1")
    assert (seen.hwdst, seen.pdst) == ("02:00:5e:10:00:02", "192.168.65.9")


def test_we_read_what_scapy_builds_with_padding() -> None:
    built = bytes(ARP(op="who-has", hwsrc="02:00:5e:10:00:02", psrc="0.0.0.0", pdst="192.168.65.1"))
    packet = Arp.parse(built + bytes(18))
    assert packet.operation is Operation.REQUEST
    assert packet.target_ip == bytes([192, 168, 65, 1])


@pytest.mark.parametrize(
    ("at", "value"),
    [(0, 9), (2, 9), (4, 5), (5, 5), (7, 3)],
    ids=["link", "net", "hlen", "plen", "op"],
)
def test_other_families_are_refused(at: int, value: int) -> None:
    data = bytearray(PACKET.emit())
    data[at] = value
    with pytest.raises(MalformedError):
        Arp.parse(data)


def test_truncated() -> None:
    with pytest.raises(MalformedError):
        Arp.parse(PACKET.emit()[:-1])
