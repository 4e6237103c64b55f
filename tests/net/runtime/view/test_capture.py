import errno
import itertools

import pytest

from sampan.errors import UsageError
from sampan.net.link import pcapng
from sampan.net.link.pcapng import Direction, Interface, Names, Packet
from sampan.net.runtime.view import capture as capture_module
from sampan.net.runtime.view.capture import Capture, Options


class Memory:
    """A sink that begins a new file after `limit` bytes."""

    def __init__(self, limit=1 << 30):
        self.files = [b""]
        self.limit = limit
        self.is_full = self.is_closed = self.is_due = False
        self.error = None

    def write(self, blocks):
        if self.error is not None:
            raise self.error
        self.files[-1] += blocks
        if len(self.files[-1]) < self.limit:
            return False
        self.files.append(b"")
        return True

    def look(self):
        if self.is_due:
            self.files.append(b"")
        return self.is_due

    def close(self):
        self.is_closed = True

    def read(self, number=0):
        return list(pcapng.read(self.files[number]))


@pytest.fixture
def sink():
    return Memory()


@pytest.fixture
def make(sink):
    ticks = itertools.count(1_800_000_000_000_000_000, 1000)

    def make(**options):
        return Capture(sink, Options(**options), lambda: next(ticks))

    return make


def test_frames_of_two_links(make, sink, make_frame, make_offloaded):
    capture = make(comment="a test")
    capture.seen("web", (make_frame(),), 0, Direction.OUT)
    capture.seen("db", (make_offloaded(),), 10, Direction.IN)
    capture.seen("web", (make_frame(),), 0, Direction.IN)
    assert sink.files == [b""]
    capture.close()
    links = [each for each in sink.read() if isinstance(each, Interface)]
    packets = [each for each in sink.read() if isinstance(each, Packet)]
    assert links == [Interface("web"), Interface("db")]
    assert [(each.interface, each.direction) for each in packets] == [
        (0, Direction.OUT), (1, Direction.IN), (0, Direction.IN),
    ]  # fmt: skip
    assert {each.data for each in packets} == {make_frame()}
    assert packets[1].time_ns == 1_800_000_000_000_001_000
    assert (capture.frames, capture.lost, sink.is_closed) == (3, 0, True)


def test_only_what_the_filter_takes_and_only_so_much(make, sink, make_frame, make_offloaded):
    capture = make(filter="tcp port 80", snap_length=60)
    capture.seen("web", (make_frame(port=443),), 0, Direction.OUT)
    capture.seen("web", (make_offloaded(b"x" * 100),), 10, Direction.OUT)
    capture.close()
    [link, packet] = sink.read()
    assert link.snap_length == 60
    assert (len(packet.data), packet.length) == (60, 154)


def test_a_bad_filter(make):
    with pytest.raises(UsageError, match="makes no sense"):
        make(filter="port http")


def test_names_are_written_once(make, sink):
    capture = make()
    for names in (("a.example",), ("a.example",), (), ("b.example", "a.example")):
        capture.learn(bytes([1, 2, 3, 4]), names)
    capture.close()
    assert [each.names for each in sink.read() if isinstance(each, Names)] == [
        {bytes([1, 2, 3, 4]): ("a.example",)},
        {bytes([1, 2, 3, 4]): ("a.example", "b.example")},  # Wireshark shows the last
    ]


def test_names_are_bounded(make, monkeypatch):
    monkeypatch.setattr(capture_module, "MAX_NAMES", 3)
    capture = make()
    for last in range(9):
        capture.learn(bytes([1, 2, 3, last]), ("a",))
    assert len(capture._names) == 3


def test_each_file_can_be_read_alone(make, sink, make_frame):
    sink.limit = 1000
    capture = make()
    for number in range(1200):
        capture.learn(bytes([1, 2, number >> 8, number & 255]), ("n",))
    capture.seen("web", (make_frame(),), 0, Direction.OUT)
    capture.flush()
    capture.seen("web", (make_frame(),), 0, Direction.OUT)
    capture.close()
    first, second = sink.read(0), sink.read(1)
    assert isinstance(second[0], Interface)
    assert sum(len(each.names) for each in second if isinstance(each, Names)) == 1200
    assert isinstance(first[-1], Packet)
    assert isinstance(second[-1], Packet)


def test_a_new_file_begins_with_the_next_frame(make, sink, make_frame):
    capture = make()
    capture.flush()
    capture.seen("web", (make_frame(),), 0, Direction.OUT)
    capture.flush()
    sink.is_due = True
    capture.flush()
    sink.is_due = False
    capture.flush()
    assert sink.files[1:] == [b""]
    capture.seen("web", (make_frame(),), 0, Direction.OUT)
    capture.close()
    assert [type(each) for each in sink.read(1)] == [Interface, Packet]


def test_much_is_handed_over_at_once(make, sink, make_frame):
    capture = make()
    frame = make_frame(b"x" * 10_000)
    for _ in range(7):
        capture.seen("web", (frame,), 0, Direction.OUT)
    assert 64 << 10 <= len(sink.files[0]) < 80 << 10


def test_a_sink_that_is_full_loses_frames_and_nothing_else(make, sink, make_frame):
    capture = make()
    sink.is_full = True
    capture.seen("web", (make_frame(),), 0, Direction.OUT)
    capture.learn(bytes(4), ("a",))
    sink.is_full = False
    capture.seen("web", (make_frame(),), 0, Direction.OUT)
    capture.learn(bytes(4), ("a",))
    capture.close()
    assert [type(each) for each in sink.read()] == [Interface, Packet, Names]
    assert (capture.frames, capture.lost) == (1, 1)


def test_a_disk_that_is_full_ends_the_capture(make, sink, make_frame, caplog):
    capture = make()
    sink.error = OSError(errno.ENOSPC, "No space left on device")
    capture.seen("web", (make_frame(),), 0, Direction.OUT)
    capture.flush()
    capture.seen("web", (make_frame(),), 0, Direction.OUT)
    capture.learn(bytes(4), ("a",))
    capture.flush()
    capture.close()
    assert "No space left" in caplog.text
    assert (capture.is_over, capture.lost, sink.is_closed) == (True, 1, True)


def test_links_are_bounded(make, make_frame, monkeypatch):
    monkeypatch.setattr(capture_module, "MAX_LINKS", 2)
    capture = make()
    for name in "abc":
        capture.seen(name, (make_frame(),), 0, Direction.OUT)
    assert (capture.frames, capture.lost) == (2, 1)
