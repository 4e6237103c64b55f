import pytest

from sampan.net.core.limit import Limits
from sampan.net.core.port import Port


def test_queue_is_bounded():
    port = Port(1, Limits(queued_frames=2))
    for number in range(5):
        port.send(bytes([number]))
    assert port.outgoing == [(b"\0",), (b"\1",)]
    assert port.frames_dropped == 3


@pytest.mark.parametrize("head", [0, 10, 12])
def test_plain_frame_has_nothing_left_to_do(head):
    port = Port(1, Limits(), head=head)
    port.send_plain(b"frame")
    assert port.outgoing == [(bytes(head) + b"frame",)]


def test_heads_that_do_not_exist():
    with pytest.raises(ValueError, match="10 or 12 bytes, not 11"):
        Port(1, Limits(), head=11)


def test_complaints_are_limited_each_second():
    port = Port(1, Limits(errors_per_s=2))
    assert [port.may_complain(5.0) for _ in range(3)] == [True, True, False]
    assert port.may_complain(6.0)


@pytest.mark.parametrize(
    ("head", "first", "verifies", "trusted"),
    [
        (10, 0, True, False),
        (10, 1, True, True),  # the device is to make it
        (12, 2, True, True),  # the device has checked it
        (0, 2, True, False),  # an address, and no offload header
        (0, 2, False, True),
        (10, 0, False, True),
    ],
)
def test_whose_checksums_are_believed(head, first, verifies, trusted):
    port = Port(1, Limits(), head=head, verifies=verifies)
    assert port.trusts(memoryview(bytes([first]) * 60)) is trusted
