"""Frames through rings, with a driver's eyes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.vhost.core import net
from sampan.vhost.core.error import RemoteProtocolError
from sampan.vhost.core.net import BATCH, MAX_FRAME, MAX_WAITING, STAGING, FrameReader, FrameWriter

WRITE = 2
DATA = 0x10000
HEADER = bytes(range(10)) + b"\0\0"
BODY = b"e" * 14


@pytest.fixture(scope="module")
def staging():
    return memoryview(bytearray(STAGING))


@pytest.fixture
def reader(guest, staging):
    return FrameReader(guest.ring(), staging)


def read(reader):
    return [bytes(frame) for frame in reader.read()]


class TestReader:
    def test_frames_are_whole_wherever_they_lie(self, guest, reader):
        frames = [HEADER + BODY + bytes([n]) * (100 * n) for n in range(1, 4)]
        guest.driver.offer([guest.put(DATA, frames[0])])
        guest.driver.offer(
            [guest.put(DATA + 0x1000, frames[1][:12]), guest.put(DATA + 0x2000, frames[1][12:])]
        )
        parts = [
            guest.put(DATA + 0x3000 + n * 64, frames[2][n : n + 40]) for n in range(0, 400, 40)
        ]
        guest.driver.offer(parts, indirect_at=0x8000)
        assert read(reader) == [*frames[:2], frames[2][:400]]
        assert [written for _, written in guest.driver.collect()] == [0, 0, 0]
        assert reader.read() is None

    def test_the_machine_cannot_change_a_frame_that_was_read(self, guest, reader):
        guest.driver.offer([guest.put(DATA, HEADER + BODY)])
        [frame] = reader.read()
        guest.put(DATA, bytes(26))
        assert frame == HEADER + BODY

    def test_what_is_no_frame_is_dropped(self, guest, reader):
        guest.driver.offer([guest.put(DATA, HEADER + BODY[:-1])])
        guest.driver.offer([(DATA, MAX_FRAME - 10), (DATA, 11)])
        guest.driver.offer([guest.put(DATA, HEADER + BODY)])
        assert read(reader) == [HEADER + BODY]
        assert reader.dropped == 2
        assert len(guest.driver.collect()) == 3

    def test_the_largest_frames_fit_a_batch(self, new_guest, staging):
        guest = new_guest(size=64)
        reader = FrameReader(guest.ring(), staging)
        for _ in range(BATCH + 1):
            guest.driver.offer([(DATA, MAX_FRAME)])
        assert [len(frame) for frame in reader.read()] == [MAX_FRAME] * BATCH
        assert len(read(reader)) == 1

    def test_an_old_header_is_made_longer(self, guest, staging):
        reader = FrameReader(guest.ring(), staging, net.LEGACY_HEADER_LENGTH)
        guest.driver.offer([guest.put(DATA, HEADER[:10]), guest.put(DATA + 99, BODY)])
        assert read(reader) == [HEADER + BODY]

    def test_staging_must_have_room_for_a_batch(self, guest):
        with pytest.raises(ValueError, match="room"):
            FrameReader(guest.ring(), memoryview(bytes(STAGING - 1)))


class TestWriter:
    @pytest.fixture
    def writer(self, guest):
        return FrameWriter(guest.ring(writable=True), merged=True)

    @staticmethod
    def offer(guest, count, length=64, parts=1):
        for _ in range(count):
            at = DATA + 0x400 * guest.driver.index
            guest.driver.offer(
                [(at + n * length, length) for n in range(parts)],
                flags=WRITE,
                indirect_at=0x8000 + guest.driver.index * 64 if parts > 1 else None,
            )

    @staticmethod
    def received(guest, length=64):
        """The frames that a driver makes of what was given back, buffers of `length` each."""
        frames: list[bytes] = []
        left = 0
        for index, (_, written) in enumerate(guest.driver.collect()):
            data = guest.get(DATA + 0x400 * index, written)
            if left:
                frames[-1] += data
                left -= 1
            else:
                left = int.from_bytes(data[10:12], "little") - 1
                frames.append(data)
                assert left >= 0
            assert left == 0 or written == length  # only the last may have room left
        return frames

    def test_a_frame_fits_one_buffer(self, guest, writer):
        self.offer(guest, 2)
        assert writer.write([(HEADER, BODY, b"1"), (HEADER + BODY + b"2",)])
        one = HEADER[:10] + b"\1\0"
        assert self.received(guest) == [one + BODY + b"1", one + BODY + b"2"]

    @pytest.mark.parametrize("size", [65, 128, 129, 300])
    def test_a_frame_spans_buffers(self, guest, writer, size):
        self.offer(guest, 6)
        data = bytes(range(256)) * 2
        writer.write([(HEADER, memoryview(data)[: size - 12]), (HEADER, BODY)])
        count = -(-size // 64)
        first, second = self.received(guest)
        assert first == HEADER[:10] + bytes([count, 0]) + data[: size - 12]
        assert second == HEADER[:10] + b"\1\0" + BODY

    def test_frames_wait_for_buffers(self, guest, writer):
        assert not writer.write([(HEADER, bytes(100))])
        assert writer.waiting == 1
        assert guest.driver.kick_after == 0
        self.offer(guest, 1)
        assert not writer.write([(HEADER, BODY)])  # half of the first, and order is kept
        assert writer.waiting == 2
        assert guest.driver.kick_after == 1
        assert guest.driver.collect() == []
        self.offer(guest, 2)
        assert writer.write()
        assert [len(frame) for frame in self.received(guest)] == [112, 26]

    def test_waiting_is_bounded(self, writer):
        writer.write([(HEADER, BODY)] * (MAX_WAITING + 3))
        assert writer.waiting == MAX_WAITING
        assert writer.dropped == 3

    def test_a_frame_that_the_whole_ring_has_no_room_for(self, guest, writer):
        self.offer(guest, 8)
        assert writer.write([(HEADER, bytes(8 * 64)), (HEADER, BODY)])
        assert writer.dropped == 1
        assert self.received(guest) == [HEADER[:10] + b"\1\0" + BODY]

    def test_buffers_are_put_back(self, guest, writer):
        self.offer(guest, 4)
        writer.write([(HEADER, BODY)])
        writer.put_back()
        assert writer.ring.base == 1
        writer.write([(HEADER, bytes(100))])
        assert [len(frame) for frame in self.received(guest)] == [26, 112]

    def test_without_merged_buffers_a_frame_has_one_chain(self, guest):
        writer = FrameWriter(guest.ring(writable=True), merged=False)
        self.offer(guest, 3, length=32, parts=3)
        writer.write([(HEADER, bytes(97)), (HEADER, b"x" * 84), (HEADER, BODY)])
        assert writer.dropped == 1
        [(_, first), (_, second)] = guest.driver.collect()
        assert (first, second) == (96, 26)
        assert guest.get(DATA, 96) == HEADER[:10] + b"\1\0" + b"x" * 84

    def test_an_old_header_is_made_shorter(self, guest):
        ring = guest.ring(writable=True)
        writer = FrameWriter(ring, merged=False, header=net.LEGACY_HEADER_LENGTH)
        self.offer(guest, 2, length=32, parts=2)
        writer.write([(HEADER, BODY), (HEADER + BODY + b"x" * 30,)])
        assert [written for _, written in guest.driver.collect()] == [24, 54]
        assert guest.get(DATA, 24) == HEADER[:10] + BODY
        assert guest.get(DATA + 0x400, 54) == HEADER[:10] + BODY + b"x" * 30

    def test_buffers_without_a_byte_are_a_fault(self, guest, writer):
        guest.driver.offer([(DATA, 0)], flags=WRITE)
        with pytest.raises(RemoteProtocolError, match="without a byte"):
            writer.write([(HEADER, BODY)])

    def test_a_header_in_pieces(self, guest, writer):
        self.offer(guest, 8, length=16)
        writer.write([(HEADER[:5], HEADER[5:], BODY)])
        assert self.received(guest, 16) == [HEADER[:10] + b"\2\0" + BODY]


@given(
    st.lists(st.integers(14, 400), min_size=1, max_size=30),
    st.integers(13, 200),
    st.integers(1, 7),
)
def test_every_frame_arrives_as_it_was(guest_class, sizes, length, parts):
    """Buffers come a few at a time, of any size; frames in any number of parts."""
    guest = guest_class(size=64, start=65500)
    writer = FrameWriter(guest.ring(writable=True), merged=True)
    sent: list[bytes] = []
    got: list[bytes] = []
    left = 0
    for number, size in enumerate(sizes):
        data = bytes([number]) * size
        step = -(-size // parts)
        writer.write([(HEADER, *(data[at : at + step] for at in range(0, size, step)))])
        sent.append(data)
    while len(got) < len(sent) or left:
        for _ in range(3):
            head = guest.driver.free[0]
            guest.driver.offer([(DATA + 256 * head, length)], flags=WRITE)
        writer.write()
        for head, written in guest.driver.collect():
            data = guest.get(DATA + 256 * head, written)
            if left:
                got[-1] += data
                left -= 1
            else:
                left = int.from_bytes(data[10:12], "little") - 1
                got.append(data[12:])
    assert got == sent
    assert writer.dropped == writer.waiting == 0
