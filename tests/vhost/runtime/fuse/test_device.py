"""A share's rings, from a driver to files and back."""

import os
import socket
import struct

import pytest

from sampan.vhost.core.feature import Virtio
from sampan.vhost.core.fuse import wire
from sampan.vhost.core.fuse.wire import Op
from sampan.vhost.core.message import HEADER, Request
from sampan.vhost.runtime.backend import Backend
from sampan.vhost.runtime.fuse.device import ShareDevice, profile

ALL = int(Virtio.VERSION_1 | Virtio.EVENT_INDEX | Virtio.INDIRECT | Virtio.PROTOCOL_FEATURES)
URGENT, REQUESTS = 0, 1
ROOM = 0x40000


@pytest.fixture
def ends():
    return []


@pytest.fixture
def front(loop, kernel, ends, new_front_end):
    ours, theirs = socket.socketpair()
    backend = Backend(loop, ours, ShareDevice(loop, "share", kernel.server), ends.append)
    yield new_front_end(theirs, size=256)
    backend.close()


def put(front, op, body=b"", node=1, *, at=0x20000, ring=REQUESTS, room=4096):
    header = wire.IN_HEADER.pack(40 + len(body), op, 7, node, 0, 0, 1, 0, 0)
    readable = [front.guest.put(at, header)]
    if body:
        readable.append(front.guest.put(at + 64, body))
    writable = [(ROOM, 16), (ROOM + 16, room - 16)] if room else []
    front.drivers[ring].offer_both(readable, writable)


def answer(front):
    [(_, written)] = front.drivers[REQUESTS].collect()
    data = front.guest.get(ROOM, written)
    length, error, unique = wire.OUT_HEADER.unpack_from(data)
    assert (length, unique) == (written, 7)
    return -error, data[16:]


def test_files_through_rings(front, root):
    (root / "file").write_text("hello")
    front.start(ALL)
    put(front, Op.LOOKUP, b"file\0")
    front.kick(REQUESTS)
    assert front.was_called(REQUESTS) == 1
    _, data = answer(front)
    node = wire.ENTRY_OUT.unpack_from(data)[0]
    put(front, Op.OPEN, wire.OPEN_IN.pack(os.O_RDWR, 0), node)
    front.kick(REQUESTS)
    handle = wire.OPEN_OUT.unpack(answer(front)[1])[0]
    put(front, Op.READ, wire.READ_IN.pack(handle, 0, 4080, 0, 0, 0, 0), node)
    front.kick(REQUESTS)
    assert answer(front) == (0, b"hello")
    put(front, Op.WRITE, wire.WRITE_IN.pack(handle, 5, 6, 0, 0, 0, 0) + b" world", node)
    front.kick(REQUESTS)
    assert answer(front) == (0, wire.WRITE_OUT.pack(6, 0))
    assert (root / "file").read_text() == "hello world"
    put(front, Op.FORGET, wire.NODE.pack(1), node, ring=URGENT, room=0)
    front.kick(URGENT)
    assert front.drivers[URGENT].collect() == [(0, 0)]
    put(front, Op.GETATTR, bytes(16), node)
    front.kick(REQUESTS)
    assert answer(front)[0] == 116  # ESTALE


def test_many_requests_have_turns(front):
    front.start(ALL)
    question = wire.IN_HEADER.pack(45, Op.LOOKUP, 7, 1, 0, 0, 1, 0, 0) + b"none\0"
    for _ in range(100):
        front.drivers[REQUESTS].offer_both([front.guest.put(0x20000, question)], [(ROOM, 4096)])
    front.kick(REQUESTS)
    assert len(front.drivers[REQUESTS].collect()) == 100
    assert front.drivers[REQUESTS].kick_after == 100


def test_a_ring_that_is_disabled_waits(front, words):
    front.start(ALL, enable=False)
    put(front, Op.LOOKUP, b"none\0")
    front.kick(REQUESTS)
    assert front.drivers[REQUESTS].collect() == []
    front.say(Request.SET_VRING_ENABLE, words.state(REQUESTS, 1))
    assert answer(front)[0] == 2


@pytest.mark.parametrize(("length", "room"), [(39, 4096), (48, 4096), (40, 8)])
def test_what_cannot_be_answered_ends_the_session(front, ends, length, room):
    front.start(ALL)
    header = wire.IN_HEADER.pack(length, Op.GETATTR, 7, 1, 0, 0, 1, 0, 0)
    front.drivers[REQUESTS].offer_both([front.guest.put(0x20000, header)], [(ROOM, room)])
    front.kick(REQUESTS)
    assert len(ends) == 1
    assert not front.is_connected()


def test_what_the_front_end_may_ask(front, words):
    assert profile("share").config == b"share".ljust(36, b"\0") + struct.pack("<I", 1)
    front.say(Request.GET_CONFIG, struct.pack("<III", 0, 40, 0) + bytes(40))
    data = front.socket.recv(100)
    assert data[HEADER.size + 12 :] == profile("share").config


@pytest.mark.parametrize("tag", ["", "x" * 37])
def test_tags_that_cannot_be(tag):
    with pytest.raises(ValueError, match="a tag of"):
        profile(tag)


def test_rings_stop_and_memory_moves(front, words):
    front.start(ALL)
    front.share_memory()
    front.say(Request.GET_VRING_BASE, words.state(REQUESTS, 0))
    assert front.answer() == REQUESTS
    put(front, Op.LOOKUP, b"none\0")
    front.kick(URGENT)
    assert front.drivers[REQUESTS].collect() == []
