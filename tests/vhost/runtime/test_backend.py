"""A connection from its first message to its end, whoever ends it."""

import os
import socket
import struct

import pytest

from sampan.vhost.core.error import RemoteProtocolError
from sampan.vhost.core.feature import Virtio
from sampan.vhost.core.message import Request
from sampan.vhost.core.session import Profile
from sampan.vhost.runtime.backend import Backend

FEATURES = int(Virtio.VERSION_1 | Virtio.EVENT_INDEX | Virtio.PROTOCOL_FEATURES)


class Echo:
    """A device that writes into ring 0 whatever it finds in ring 1."""

    profile = Profile((True, False), is_network=True)

    def __init__(self):
        self.said = []
        self.rings = {}

    def connected(self, backend):
        self.backend = backend

    def ring_started(self, index, ring, features):
        self.said.append(("started", index))
        self.rings[index] = ring

    def ring_stopped(self, index):
        self.said.append(("stopped", index))
        self.rings.pop(index, None)

    def interrupted(self):
        self.said.append(("interrupted",))

    def mtu_set(self, mtu):
        self.said.append(("mtu", mtu))

    def moved(self, mac):
        self.said.append(("moved", mac))

    def kicked(self, index, enabled):
        if index != 1 or not enabled or 0 not in self.rings:
            return
        for head, [data] in self.rings[1].take(8):
            [(room, [view])] = self.rings[0].take(1)
            view[: len(data)] = data
            self.rings[0].give_back([room | len(data) << 32])
            self.rings[1].give_back([head])
        if self.rings[1].must_notify():
            self.backend.notify(1)
        if self.rings[0].must_notify():
            self.backend.notify(0)
        self.rings[1].rest()


@pytest.fixture
def device():
    return Echo()


@pytest.fixture
def ends():
    return []


@pytest.fixture
def front(loop, device, ends, new_front_end):
    ours, theirs = socket.socketpair()
    backend = Backend(loop, ours, device, ends.append)
    yield new_front_end(theirs)
    backend.close()


def offer(front, data=b"hello"):
    receive, transmit = front.drivers
    receive.offer([(0x10000, 64)], flags=2)
    transmit.offer([front.guest.put(0x20000, data)])
    front.kick(1)


def test_what_is_kicked_comes_back(front, device):
    front.start(FEATURES)
    offer(front)
    assert front.guest.get(0x10000, 5) == b"hello"
    assert front.drivers[0].collect() == [(0, 5)]
    assert front.drivers[1].collect() == [(0, 0)]
    assert (front.was_called(0), front.was_called(1)) == (1, 1)
    offer(front)
    assert (front.was_called(0), front.was_called(1)) == (0, 0)  # the driver did not ask


def test_nothing_happens_before_rings_are_enabled(front, words):
    front.start(FEATURES, enable=False)
    offer(front)
    assert front.drivers[1].collect() == []
    for index in range(2):
        front.say(Request.SET_VRING_ENABLE, words.state(index, 1))
    assert front.drivers[1].collect() == [(0, 0)]


def test_a_ring_that_is_stopped_is_not_touched(front, words, device):
    front.start(FEATURES)
    front.say(Request.GET_VRING_BASE, words.state(1, 0))
    assert front.answer() == 1
    offer(front)
    assert front.drivers[1].collect() == []
    assert device.said[-1] == ("stopped", 1)


def test_another_call_descriptor_is_told_what_may_have_been_missed(front, words):
    front.start(FEATURES)
    front.say(Request.SET_VRING_CALL, words.number(0), [front.calls[0]])
    assert front.was_called(0) == 1
    front.say(Request.SET_VRING_CALL, words.number(0x100))
    offer(front)
    assert front.was_called(0) == 0
    assert front.drivers[0].collect() == [(0, 5)]


def test_questions_are_answered(front, words, device):
    front.say(Request.GET_FEATURES)
    assert front.answer() & FEATURES == FEATURES
    front.say(Request.SET_PROTOCOL_FEATURES, words.number(1 << 3))
    front.say(Request.NET_SET_MTU, words.number(1400), flags=9)
    assert front.answer() == 0
    front.say(Request.SEND_RARP, b"\2abcde\0\0")
    assert device.said == [("mtu", 1400), ("moved", b"\2abcde")]


def test_memory_may_be_shared_again(front, device):
    front.start(FEATURES)
    front.share_memory()
    assert device.said[-1] == ("interrupted",)
    offer(front)
    assert front.drivers[0].collect() == [(0, 5)]


def test_a_machine_that_moves_has_its_writes_logged(front, words):
    front.start(FEATURES)
    log = os.memfd_create("log")
    os.ftruncate(log, 4096 + 32)
    front.say(Request.SET_LOG_BASE, struct.pack("<QQ", 32, 4096), [log])
    assert front.answer() == 0
    front.say(Request.SET_FEATURES, words.number(FEATURES | int(Virtio.LOG_ALL)))
    offer(front)
    assert os.pread(log, 32, 4096) == b"\0\0\1".ljust(32, b"\0")  # the page at 0x10000
    os.close(log)


@pytest.mark.parametrize("started", [True, False])
def test_the_front_end_goes(front, device, ends, open_fds, started):
    if started:
        front.start(FEATURES)
    front.socket.close()
    front.loop.run_dry()
    assert ends == ["the front-end closed the connection"]
    assert device.rings == {}
    assert front.loop.callbacks == {}


def test_nothing_is_left_over(loop, device, ends, new_front_end, open_fds):
    before = open_fds()
    ours, theirs = socket.socketpair()
    front = new_front_end(theirs)
    mine = open_fds()
    backend = Backend(loop, ours, device, ends.append)
    front.start(FEATURES)
    front.say(Request.SET_VRING_ERR, front.words.number(0), [front.calls[0]])
    assert open_fds() > mine
    backend.close()
    backend.close()
    assert ends == []
    assert open_fds() == mine - 1  # its socket
    assert open_fds() > before


def test_a_driver_that_cheats_ends_it(front, ends):
    front.start(FEATURES)
    front.drivers[1].set_index(100)
    front.kick(1)
    assert ends == ["more buffers available than a ring of 8 has"]
    assert not front.is_connected()


@pytest.mark.parametrize(
    ("request_", "payload", "fds"),
    [
        (99, b"", 0),
        (Request.SET_FEATURES, b"\xff" * 8, 0),
        (Request.SET_MEM_TABLE, struct.pack("<II4Q", 1, 0, 0, 1 << 40, 0, 0), 1),
        (Request.SET_LOG_BASE, struct.pack("<QQ", 1 << 20, 0), 1),
        (Request.SET_VRING_KICK, bytes(8), 1),
        (Request.SET_VRING_CALL, b"\7".ljust(8, b"\0"), 1),
    ],
)
def test_a_front_end_that_makes_no_sense_ends_it(front, ends, open_fds, request_, payload, fds):
    front.say(Request.SET_OWNER)
    before = open_fds()
    front.say(request_, payload, [front.calls[0]] * fds)
    assert len(ends) == 1
    assert not front.is_connected()
    assert open_fds() == before - 1


def test_a_kick_descriptor_that_cannot_be_watched(front, ends, words, tmp_path, open_fds):
    front.start(FEATURES)
    with (tmp_path / "file").open("wb") as file:
        front.say(Request.SET_VRING_KICK, words.number(0), [file.fileno()])
    assert len(ends) == 1


def test_a_kick_descriptor_whose_other_end_is_closed(front, ends, words):
    front.start(FEATURES)
    reading, writing = os.pipe()
    front.say(Request.SET_VRING_KICK, words.number(0), [reading])
    os.close(reading)
    os.close(writing)
    front.loop.run_dry()
    assert ends == ["the front-end closed a ring's event descriptor"]


def test_a_fault_found_elsewhere_ends_it(front, device, ends):
    device.backend.fail(ValueError("of the driver"))
    device.backend.fail(ValueError("again"))
    assert ends == ["of the driver"]


def test_descriptors_of_events_that_are_not_acted_on_any_more(front, device, ends, open_fds):
    """The device fails at the first event of a message; the second has a descriptor."""

    def fail():
        raise RemoteProtocolError("not now")

    front.start(FEATURES)
    device.interrupted = fail
    before = open_fds()
    front.share_memory()
    assert ends == ["not now"]
    assert open_fds() < before


def test_a_device_that_ends_the_connection_in_the_middle_of_a_message(front, device, ends):
    front.start(FEATURES)
    device.interrupted = device.backend.close
    front.share_memory()
    assert ends == []
    assert not front.is_connected()


def test_a_kick_that_was_taken_already(front, device, ends):
    front.start(FEATURES)
    callback = front.loop.callbacks[device.backend._kicks[1]]
    callback(1)
    assert ends == []


def test_a_driver_that_cannot_be_told(front, ends, words):
    reading, writing = os.pipe()
    front.start(FEATURES)
    front.say(Request.SET_VRING_CALL, words.number(1), [writing])
    os.close(reading)
    os.close(writing)
    offer(front)
    assert front.drivers[1].collect() == [(0, 0)]
    assert ends == []
