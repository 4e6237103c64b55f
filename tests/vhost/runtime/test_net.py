"""A network card, from a driver's rings to frames and back."""

import socket

import pytest

from sampan.vhost.core.feature import Net, Virtio
from sampan.vhost.core.message import Request
from sampan.vhost.core.net import BATCH
from sampan.vhost.runtime.backend import Backend
from sampan.vhost.runtime.net import BATCHES, FEATURES, NetDevice

MODERN = int(Virtio.VERSION_1 | Virtio.EVENT_INDEX | Virtio.INDIRECT | Virtio.PROTOCOL_FEATURES)
ALL = MODERN | int(FEATURES)
HEADER = bytes(12)
BODY = b"e" * 14
WRITE = 2
RECEIVE, TRANSMIT = 0, 1


@pytest.fixture
def got():
    return []


@pytest.fixture
def ends():
    return []


@pytest.fixture
def device(loop, got):
    return NetDevice(loop, lambda frames: got.append([bytes(frame) for frame in frames]))


@pytest.fixture
def front(loop, device, ends, new_front_end):
    ours, theirs = socket.socketpair()
    backend = Backend(loop, ours, device, ends.append)
    yield new_front_end(theirs, size=256)
    backend.close()


def transmit(front, *bodies):
    """The driver sends frames, a page for each."""
    driver = front.drivers[TRANSMIT]
    for body in bodies:
        at = 0x80000 + 0x200 * (driver.index % 256)
        driver.offer([front.guest.put(at, HEADER + body)])


def make_room(front, count, length=1536):
    for _ in range(count):
        front.drivers[RECEIVE].offer(
            [(0x10000 + 2048 * front.drivers[RECEIVE].index, length)], flags=WRITE
        )


def test_frames_come_in(front, got):
    front.start(ALL)
    transmit(front, BODY + b"1", BODY + b"2")
    front.kick(TRANSMIT)
    assert got == [[HEADER + BODY + b"1", HEADER + BODY + b"2"]]
    assert len(front.drivers[TRANSMIT].collect()) == 2
    assert front.drivers[TRANSMIT].kick_after == 2  # and it asks for the next


def test_a_lot_comes_in_batches(front, got):
    front.start(ALL)
    count = BATCH * BATCHES + 3
    transmit(front, *[BODY] * count)
    front.kick(TRANSMIT)
    assert [len(frames) for frames in got] == [BATCH] * BATCHES + [3]
    assert front.drivers[TRANSMIT].kick_after == count


def test_frames_go_out_with_one_notification(front, device):
    front.start(ALL)
    make_room(front, 4)
    device.send([(HEADER, BODY, b"1"), (HEADER + BODY,)])
    assert front.drivers[RECEIVE].collect() == [(0, 27), (1, 26)]
    assert front.guest.get(0x10000, 27) == bytes(10) + b"\1\0" + BODY + b"1"
    assert front.was_called(RECEIVE) == 1
    assert device.lost == 0


def test_a_large_frame_spans_buffers(front, device):
    front.start(ALL)
    make_room(front, 60)
    device.send([(HEADER, bytes(65535))])
    given = front.drivers[RECEIVE].collect()
    assert sum(written for _, written in given) == 65547
    assert len(given) == 43
    assert front.guest.get(0x10000 + 10, 2) == bytes([43, 0])


def test_frames_wait_until_the_driver_has_room(front, device):
    front.start(ALL)
    device.send([(HEADER, BODY)])
    assert front.drivers[RECEIVE].collect() == []
    make_room(front, 1)
    front.kick(RECEIVE)
    assert front.drivers[RECEIVE].collect() == [(0, 26)]
    front.kick(RECEIVE)  # nothing waits


def test_without_a_driver_frames_are_lost(loop, device, front):
    assert not device.is_up
    device.send([(HEADER, BODY)])
    assert device.lost == 1
    front.start(ALL, enable=False)
    assert device.is_up
    device.send([(HEADER, BODY)] * 2)
    assert device.lost == 3


def test_what_is_sent_into_a_disabled_ring_is_dropped(front, got):
    front.start(ALL, enable=False)
    transmit(front, BODY)
    front.kick(TRANSMIT)
    assert got == []
    assert len(front.drivers[TRANSMIT].collect()) == 1


def test_rings_stop_and_start_again(front, device, words, got):
    front.start(ALL)
    make_room(front, 3)
    device.send([(HEADER, BODY)])
    for index in range(2):
        front.say(Request.GET_VRING_BASE, words.state(index, 0))
        assert front.answer() == index | (1 - index) << 32
    assert not device.is_up
    front.start(ALL)
    device.send([(HEADER, BODY)])
    assert [head for head, _ in front.drivers[RECEIVE].collect()] == [0, 1]
    transmit(front, BODY)
    front.kick(TRANSMIT)
    assert len(got) == 1


def test_memory_may_change_while_buffers_are_held(front, device):
    front.start(ALL)
    make_room(front, 8)
    device.send([(HEADER, BODY)])
    front.share_memory()
    device.send([(HEADER, BODY)])
    assert [head for head, _ in front.drivers[RECEIVE].collect()] == [0, 1]


@pytest.mark.parametrize("features", [MODERN, int(Net.MERGED_BUFFERS), 0])
def test_drivers_with_fewer_features(front, device, got, features):
    front.start(features)
    make_room(front, 2)
    device.send([(HEADER, BODY)])
    header = 12 if features else 10
    assert front.drivers[RECEIVE].collect() == [(0, header + 14)]
    driver = front.drivers[TRANSMIT]
    driver.offer([front.guest.put(0x80000, HEADER[:header]), front.guest.put(0x81000, BODY)])
    front.kick(TRANSMIT)
    assert got == [[HEADER + BODY]]
    assert device.features == features


def test_the_mtu_is_noted(front, device, words):
    front.say(Request.NET_SET_MTU, words.number(9000))
    assert device.mtu == 9000


def test_a_machine_that_moved_is_heard(front, got):
    """As any other frame of it, before its driver has said a word."""
    front.say(Request.SEND_RARP, b"\2abcde\0\0")
    [[frame]] = got
    assert len(frame) == 12 + 60
    assert frame[12:26] == b"\xff" * 6 + b"\2abcde" + b"\x80\x35"
    assert frame[26:54] == bytes.fromhex("0001 0800 06 04 0003") + (b"\2abcde" + bytes(4)) * 2


def test_a_driver_that_cheats_while_we_send(front, device, ends):
    """Found in the middle of somebody else's work: it ends when that is done."""
    front.start(ALL)
    front.drivers[RECEIVE].set_index(300)
    device.send([(HEADER, BODY)])
    assert ends == []
    device.send([(HEADER, BODY)])
    assert device.lost == 2
    front.loop.run_dry()
    assert ends == ["more buffers available than a ring of 256 has"]


def test_a_driver_that_cheats_in_its_second_share(front, got, ends):
    front.start(ALL)
    transmit(front, *[BODY] * (BATCH * BATCHES))
    front.drivers[TRANSMIT].publish(999)
    front.kick(TRANSMIT)
    assert len(got) == BATCHES
    assert ends == ["descriptor 999 in a ring of 256"]
