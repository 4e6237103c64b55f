import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.base.loop import Loop
from sampan.net.link.error import LinkError
from sampan.net.link.stream import MAX_FRAME, QEMU, VMNET, Decoder
from sampan.net.runtime.attach import stream
from sampan.net.runtime.attach.stream import BATCH, MAX_WAITING, StreamLink, stream_link
from sampan.net.runtime.attach.wrapped import Wrapped


@pytest.fixture
def peer():
    """The network's end of a stream, and the machine's."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(60)
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.fixture
def frames_in(engine, monkeypatch):
    """What the engine gets, copied; it does nothing else with it."""
    batches: list[list[bytes]] = []

    def note(stack, port, frames, now):
        batches.append([bytes(frame) for frame in frames])

    monkeypatch.setattr(type(engine.stack), "frames_received", note)
    return batches


@pytest.mark.parametrize("framing", [QEMU, VMNET], ids=["qemu", "vmnet"])
def test_frames_both_ways(engine, peer, framing, question, is_answer):
    engine.plug(stream_link(peer[0], framing), name="vm")
    peer[1].sendall(framing.encode(question) * 2)
    engine.loop.run_once(None)
    answers = Decoder(framing).received(peer[1].recv(5000))
    assert [is_answer(each) for each in answers] == [True, True]


@pytest.mark.parametrize("size", [1, 3, 7, 50, 1000])
def test_however_the_stream_is_cut(engine, peer, turns, frames_in, size):
    engine.plug(stream_link(peer[0]), name="vm")
    sent = [bytes([number]) * (1 + number * 7) for number in range(40)]
    data = b"".join(map(QEMU.encode, sent)) + QEMU.length.pack(0)
    for start in range(0, len(data), size):
        peer[1].send(data[start : start + size])
        turns(1)
    assert [frame for batch in frames_in for frame in batch] == sent


def test_frames_are_handed_on_in_batches_of_views(engine, peer, turns, monkeypatch):
    kinds: set[type] = set()
    counts: list[int] = []

    def note(stack, port, frames, now):
        kinds.update(map(type, frames))
        counts.append(len(frames))

    monkeypatch.setattr(type(engine.stack), "frames_received", note)
    link = stream_link(peer[0], received=QEMU.encode(b"x" * 60) * (BATCH + 3))
    engine.plug(link, name="vm")
    turns()
    assert counts == [BATCH, 3]
    assert kinds == {memoryview}


def test_the_largest_frames(engine, peer, turns, frames_in):
    engine.plug(stream_link(peer[0]), name="vm")
    frame = os.urandom(MAX_FRAME)
    peer[1].setblocking(False)
    data = memoryview(QEMU.encode(frame) * 6)
    while data:
        data = data[peer[1].send(data) :]
        turns(1)
    turns()
    assert [each for batch in frames_in for each in batch] == [frame] * 6


def test_a_stream_that_makes_no_sense_is_unplugged(engine, peer, turns):
    engine.plug(stream_link(peer[0]), name="vm")
    peer[1].send(b"GET / HTTP/1.1\r\n\r\n")
    turns()
    assert engine.plugs == {}
    assert peer[1].recv(1) == b""


def test_a_machine_that_hangs_up(engine, peer, turns):
    lost = []
    engine.plug(stream_link(peer[0]), name="vm").when_lost = lambda: lost.append(True)
    peer[1].close()
    turns()
    assert lost == [True]


def test_a_machine_that_is_gone_when_it_is_spoken_to(engine, peer):
    plug = engine.plug(link := stream_link(peer[0]), name="vm")
    peer[1].close()
    link.send([(b"x",)])
    link.send([(b"y",)])
    assert engine.plugs == {}
    assert plug.link is link


def test_who_is_closed_by_what_came_reads_no_further(engine, peer, turns, monkeypatch):
    plug = engine.plug(stream_link(peer[0]), name="vm")
    counts = []

    def unplug(stack, port, frames, now):
        counts.append(len(frames))
        engine.unplug(plug)

    monkeypatch.setattr(type(engine.stack), "frames_received", unplug)
    peer[1].sendall(QEMU.encode(b"x" * 60) * BATCH * 3)
    turns()
    assert counts == [BATCH]


def test_what_the_machine_does_not_take_waits_whole_frames_and_in_order(engine, peer, turns):
    link = stream_link(peer[0])
    engine.plug(link, name="vm")
    sent = [number.to_bytes(4, "big") * 350 for number in range(1000)]
    for start in range(0, len(sent), 100):
        link.send([(frame[:14], frame[14:]) for frame in sent[start : start + 100]])
    decoder = Decoder(QEMU)
    came: list[bytes] = []
    while len(came) < len(sent) - link.lost:
        turns(1)
        came += decoder.received(peer[1].recv(1 << 20))
    assert came == sent[: len(came)]
    link.send([(b"after",)])
    assert decoder.received(peer[1].recv(100)) == [b"after"]


def test_beyond_the_bound_frames_are_lost(engine, peer, turns):
    link = stream_link(peer[0])
    engine.plug(link, name="vm")
    count = 0
    while not link.lost:
        link.send([(bytes(1400),)] * 50)
        count += 50
    assert len(link._waiting) <= MAX_WAITING + 1404 * 50
    link.send([(bytes(1400),)] * 50)
    decoder, came = Decoder(QEMU), 0
    while came < count + 50 - link.lost:
        turns(1)
        frames = decoder.received(peer[1].recv(1 << 20))
        assert {len(each) for each in frames} <= {1400}
        came += len(frames)


def test_many_frames_take_several_system_calls(engine, peer, monkeypatch):
    link = stream_link(peer[0])
    engine.plug(link, name="vm")
    monkeypatch.setattr(stream, "_PARTS", 10)
    link.send([(b"a", b"b")] * 10)
    assert Decoder(QEMU).received(peer[1].recv(1000)) == [b"ab"] * 10


def test_a_pair_of_pipes(engine, question, is_answer, turns):
    to_us, from_machine = os.pipe()
    to_machine, from_us = os.pipe()
    link = StreamLink(to_us, from_us, VMNET)
    plug = engine.plug(link, name="vm")
    os.write(from_machine, VMNET.encode(question))
    turns()
    [answer] = Decoder(VMNET).received(os.read(to_machine, 1000))
    assert is_answer(answer)
    link.send([(bytes(1400),)] * 100)  # more than a pipe has room for
    decoder, came = Decoder(VMNET), 0
    while came < 100:
        came += len(decoder.received(os.read(to_machine, 1 << 20)))
        turns(1)
    os.close(from_machine)
    turns()
    assert engine.plugs == {}
    link.close()
    os.close(to_machine)
    assert plug.link is link


def test_a_reader_that_has_gone_ends_a_pair_of_pipes(engine, turns):
    to_us, from_machine = os.pipe()
    to_machine, from_us = os.pipe()
    link = StreamLink(to_us, from_us)
    engine.plug(link, name="vm")
    link.send([(bytes(1400),)] * 100)
    os.close(to_machine)
    turns()
    assert engine.plugs == {}
    os.close(from_machine)


def test_a_file_is_no_link(engine, tmp_path):
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    with pytest.raises(OSError, match="not permitted"):
        engine.plug(StreamLink(fd), name="vm")
    assert engine.plugs == {}


def test_a_shared_descriptor_is_left_as_it_was(engine):
    reading, writing = os.pipe()
    shared = os.dup(reading)
    plug = engine.plug(StreamLink(reading, writing), name="vm")
    assert not os.get_blocking(shared)
    engine.unplug(plug)
    assert os.get_blocking(shared)
    os.close(shared)


def test_checksums_are_believed_but_not_of_a_link_with_faults(engine, peer):
    plain, faulty = stream_link(peer[0]), Wrapped(stream_link(peer[1]))
    assert not engine.plug(plain, name="plain").port.verifies
    assert engine.plug(faulty, name="faulty").port.verifies


class Noting:
    """A plug that keeps what it gets."""

    def __init__(self, loop):
        self.loop = loop
        self.frames: list[bytes] = []
        self.why = ""
        self.link: StreamLink | None = None

    def received(self, frames):
        self.frames += map(bytes, frames)

    def lost(self, why):
        self.why = why
        self.link.close()


@given(
    st.lists(st.one_of(st.binary(max_size=40).map(QEMU.encode), st.binary(max_size=9)), max_size=9),
    st.integers(1, 50),
)
def test_it_reads_a_stream_as_the_codec_does(pieces, size):
    data = b"".join(pieces)
    expected: list[bytes] = []
    decoder, makes_sense = Decoder(QEMU), True
    loop = Loop()
    ours, theirs = socket.socketpair()
    plug = Noting(loop)
    plug.link = link = stream_link(ours)
    link.start(plug)  # type: ignore[arg-type]  # enough of a plug
    for start in range(0, len(data), size):
        piece = data[start : start + size]
        theirs.send(piece)
        loop.run_once(0)
        try:
            expected += decoder.received(piece)
        except LinkError:
            makes_sense = False
            break
    assert plug.frames[: len(expected)] == expected
    assert (plug.why == "") == makes_sense
    link.close()
    theirs.close()
    loop.close()
