"""A front-end's conversation: QEMU's own order of messages, and what it must not say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.vhost.core import event
from sampan.vhost.core.dirty import DirtyLog
from sampan.vhost.core.error import RemoteProtocolError
from sampan.vhost.core.feature import Protocol, Virtio
from sampan.vhost.core.message import HEADER, Message, Request
from sampan.vhost.core.session import Profile, Session

FEATURE = 1 << 5
MODERN = Virtio.VERSION_1 | Virtio.PROTOCOL_FEATURES | Virtio.EVENT_INDEX | Virtio.INDIRECT
PROFILE = Profile((True, False), FEATURE, config=b"config", is_network=True)


class Peer:
    """A front-end that says one thing at a time."""

    def __init__(self, words, guest, profile=PROFILE):
        self.words = words
        self.guest = guest
        self.session = Session(profile, guest.fence)
        self.others = 0

    def say(self, request, payload=b"", fds=(), *, needs_reply=False):
        return self.session.message_received(Message(request, needs_reply, payload, fds))

    def answer(self):
        """The number in the answer; None: there is none."""
        data = self.session.data_to_send()
        if not data:
            return None
        _, flags, size = HEADER.unpack_from(data)
        assert flags == 5
        assert size == len(data) - 12
        return int.from_bytes(data[12:], "little")

    def negotiate(self, features=MODERN, protocol=Protocol.REPLY_ACK):
        number = self.words.number
        self.say(Request.SET_PROTOCOL_FEATURES, number(protocol))
        self.say(Request.SET_OWNER)
        self.say(Request.SET_FEATURES, number(features))

    def share_memory(self, fd=10):
        row = (0, self.guest.SIZE, self.words.user, 0)
        events = self.say(Request.SET_MEM_TABLE, self.words.table(row), (fd,))
        self.session.memory_mapped(self.guest.table)
        return events

    def describe(self, index, driver):
        self.say(Request.SET_VRING_NUM, self.words.state(index, driver.size))
        self.say(Request.SET_VRING_BASE, self.words.state(index, 0))
        self.say(Request.SET_VRING_ADDR, self.words.addresses(index, driver))

    def start(self, index=0):
        self.describe(index, self.guest.driver)
        return self.say(Request.SET_VRING_KICK, self.words.number(index), (20 + index,))


@pytest.fixture
def peer(words, guest):
    return Peer(words, guest)


@pytest.fixture
def running(peer):
    peer.negotiate()
    peer.share_memory()
    peer.start()
    return peer


def test_features_are_negotiated(peer):
    peer.say(Request.GET_FEATURES)
    offered = peer.answer()
    assert offered & MODERN == MODERN
    assert offered & FEATURE
    assert not offered & 1 << 34  # packed rings
    peer.say(Request.GET_PROTOCOL_FEATURES)
    assert peer.answer() == (
        Protocol.ANNOUNCE
        | Protocol.REPLY_ACK
        | Protocol.LOG_SHARED
        | Protocol.CONFIG
        | Protocol.MTU
    )
    peer.negotiate(MODERN | FEATURE)
    assert peer.answer() is None
    assert peer.session.has(FEATURE)
    assert not peer.session.has(Virtio.LOG_ALL)


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        (Request.SET_FEATURES, "features 0x400000000 were not offered"),
        (Request.SET_PROTOCOL_FEATURES, "were not offered"),
    ],
)
def test_what_was_not_offered_is_not_had(peer, words, request_, complaint):
    with pytest.raises(RemoteProtocolError, match=complaint):
        peer.say(request_, words.number(1 << 34))


def test_a_plain_device_offers_less(words, guest):
    session = Peer(words, guest, Profile((True,))).session
    assert session.offered_protocol == Protocol.REPLY_ACK | Protocol.LOG_SHARED


def test_a_ring_starts_and_stops(peer, words, guest):
    peer.negotiate()
    events = peer.share_memory(10)
    assert isinstance(events[0], event.RingsInterrupted)
    assert events[1].fds == (10,)
    assert events[1].regions[0].size == guest.SIZE
    assert peer.session.ring(0) is None
    assert peer.start() == [event.KickSet(0, 20), event.RingStarted(0)]
    assert not peer.session.is_enabled(0)
    assert peer.say(Request.SET_VRING_ENABLE, words.state(0, 1)) == [event.RingEnabled(0, True)]
    assert peer.session.is_enabled(0)
    assert peer.say(Request.SET_VRING_CALL, words.number(0), (30,)) == [event.CallSet(0, 30)]
    assert peer.say(Request.SET_VRING_CALL, words.number(0x100)) == [event.CallSet(0, None)]
    guest.driver.offer([(0, 8)], flags=2)
    ring = peer.session.ring(0)
    ring.give_back([ring.take(1)[0][0]])
    assert peer.say(Request.GET_VRING_BASE, words.state(0, 0)) == [event.RingStopped(0)]
    assert peer.answer() == 1 << 32  # index 0, number 1
    assert peer.session.ring(0) is None
    assert peer.say(Request.GET_VRING_BASE, words.state(0, 0)) == []
    assert peer.start() == [event.KickSet(0, 20), event.RingStarted(0)]
    assert peer.session.ring(0).base == 1


def test_another_kick_descriptor_does_not_start_again(running, words):
    ring = running.session.ring(0)
    assert running.say(Request.SET_VRING_KICK, words.number(0), (40,)) == [event.KickSet(0, 40)]
    assert running.session.ring(0) is ring


def test_rings_are_enabled_where_that_is_not_negotiated(peer, words):
    peer.say(Request.SET_FEATURES, words.number(Virtio.VERSION_1))
    assert peer.session.is_enabled(0)
    assert peer.session.is_enabled(1)


def test_descriptors_for_errors_are_not_used(peer, words):
    said = peer.say(Request.SET_VRING_ERR, words.number(0), (7,))
    assert said == [event.DescriptorDropped(7)]
    assert peer.say(Request.SET_LOG_FD, b"", (8,)) == [event.DescriptorDropped(8)]


@pytest.mark.parametrize(
    ("request_", "payload", "fds", "complaint"),
    [
        (Request.SET_VRING_NUM, "state 2 8", (), "ring 2 of a device that has 2"),
        (Request.SET_VRING_NUM, "state 0 8", (), "running ring"),
        (Request.SET_VRING_NUM, "state 1 0", (), "a ring of 0"),
        (Request.SET_VRING_NUM, "state 1 65536", (), "a ring of 65536"),
        (Request.SET_VRING_BASE, "state 2 0", (), "ring 2"),
        (Request.GET_VRING_BASE, "state 2 0", (), "ring 2"),
        (Request.SET_VRING_ENABLE, "state 2 1", (), "ring 2"),
        (Request.SET_VRING_KICK, "number 2", (9,), "ring 2"),
        (Request.SET_VRING_CALL, "number 2", (9,), "ring 2"),
        (Request.SET_VRING_ERR, "number 2", (9,), "ring 2"),
        (Request.SET_VRING_KICK, "number 1", (9,), "no size, addresses or memory yet"),
        (Request.SET_VRING_KICK, "number 257", (), "to be polled"),
        (Request.SET_FEATURES, "number 0", (), "features of running rings"),
        (Request.SET_CONFIG, "number 0", (), "no part of the configuration"),
        (Request.SET_LOG_BASE, "table", (3,), "a log of 0 bytes"),
    ],
)
def test_what_makes_no_sense(running, words, request_, payload, fds, complaint):
    kind, *numbers = payload.split()
    data = bytes(16) if kind == "table" else getattr(words, kind)(*map(int, numbers))
    with pytest.raises(RemoteProtocolError, match=complaint):
        running.say(request_, data, fds)


def test_replies_where_they_are_asked_for(peer, words):
    peer.say(Request.SET_OWNER, needs_reply=True)
    assert peer.answer() is None  # not negotiated yet
    peer.negotiate()
    assert peer.say(Request.RESET_OWNER, needs_reply=True) == []
    assert peer.answer() == 0
    peer.say(Request.GET_FEATURES, needs_reply=True)
    assert peer.answer() == peer.session.offered  # once, not twice


def test_an_mtu_may_be_told(peer, words):
    peer.negotiate()
    said = peer.say(Request.NET_SET_MTU, words.number(9000), needs_reply=True)
    assert said == [event.MtuSet(9000)]
    assert peer.answer() == 0
    assert peer.say(Request.NET_SET_MTU, words.number(67), needs_reply=True) == []
    assert peer.answer() == 1


def test_a_machine_that_moved_is_announced(peer):
    said = peer.say(Request.SEND_RARP, b"\2abcde\0\0")
    assert said == [event.MachineMoved(b"\2abcde")]


def test_the_configuration_can_be_read(peer):
    ask = HEADER.pack(2, 4, 0) + bytes(4)
    peer.say(Request.GET_CONFIG, ask)
    assert peer.session.data_to_send()[12:] == HEADER.pack(2, 4, 0) + b"nfig"
    peer.say(Request.GET_CONFIG, HEADER.pack(3, 4, 0) + bytes(4))
    assert peer.session.data_to_send()[8:] == bytes(4)


def test_memory_may_change_under_a_running_ring(running, guest, new_guest):
    other = new_guest()
    running.guest = other
    assert len(running.share_memory()) == 2
    other.driver.offer([(0, 8)], flags=2)
    [(_, [view])] = running.session.ring(0).take(1)
    view[:3] = b"new"
    assert other.get(0, 3) == b"new"


def test_overlapping_memory_is_refused(peer, words):
    rows = (0, 8192, 0, 0), (4096, 8192, 1 << 40, 0)
    with pytest.raises(RemoteProtocolError, match="overlap"):
        peer.say(Request.SET_MEM_TABLE, words.table(*rows), (1, 2))


def test_writes_are_logged_while_the_machine_moves(running, words, guest):
    offered = running.say(Request.SET_LOG_BASE, words.number(32) + words.number(4096), (9,))
    assert offered == [event.RingsInterrupted(), event.LogOffered(32, 4096, 9)]
    assert running.answer() == 0
    bits = bytearray(32)
    running.session.log_mapped(DirtyLog(memoryview(bits)))
    events = running.say(Request.SET_FEATURES, words.number(MODERN | Virtio.LOG_ALL))
    assert events == [event.RingsInterrupted()]
    addresses = words.addresses(0, guest.driver, flags=1, log=0x9000)
    said = running.say(Request.SET_VRING_ADDR, addresses)
    assert said == [event.RingsInterrupted(), event.RingStarted(0)]
    guest.driver.offer([(0x3000, 8)], flags=2)
    ring = running.session.ring(0)
    ring.give_back([ring.take(1)[0][0] | 8 << 32])
    assert bits[:2] == b"\x08\x02"
    running.say(Request.SET_FEATURES, words.number(MODERN))
    guest.driver.offer([(0x4000, 8)], flags=2)
    ring.give_back([ring.take(1)[0][0] | 8 << 32])
    assert bits[:2] == b"\x08\x02"


_PAYLOADS = st.one_of(
    st.binary(max_size=48),
    st.builds(
        lambda a, b: a.to_bytes(4, "little") + b.to_bytes(4, "little"), *[st.integers(0, 9)] * 2
    ),
)


@given(
    st.lists(
        st.tuples(st.sampled_from(Request), _PAYLOADS, st.integers(0, 2), st.booleans()),
        max_size=30,
    )
)
def test_any_conversation_is_understood_or_refused(guest_class, words_class, conversation):
    guest = guest_class()
    peer = Peer(words_class(), guest)
    peer.negotiate()
    peer.share_memory()
    peer.start()
    for request, payload, fds, needs_reply in conversation:
        try:
            peer.say(request, payload, tuple(range(fds)), needs_reply=needs_reply)
        except RemoteProtocolError:
            return
        peer.session.data_to_send()
