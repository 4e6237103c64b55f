import pytest

from sampan.net.wire import vnet
from sampan.net.wire.error import MalformedError
from sampan.net.wire.vnet import Flag, Offload, Segmentation


def test_the_layout_of_the_specification() -> None:
    offload = Offload(Flag.NEEDS_CHECKSUM, Segmentation.TCPV4, 54, 1460, 34, 16)
    assert offload.emit() == bytes.fromhex("0101 3600 b405 2200 1000")
    assert Offload.parse(offload.emit() + b"frame") == offload


def test_congestion_mark_is_kept() -> None:
    assert Offload.parse(bytes([0, 0x81]) + bytes(8)).segmentation == vnet.ECN | Segmentation.TCPV4


@pytest.mark.parametrize("data", [bytes(9), bytes([0, 2]) + bytes(8)])
def test_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        Offload.parse(data)
