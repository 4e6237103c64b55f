import itertools

from sampan.net.link import pcapng
from sampan.net.link.pcapng import Direction, Interface, Names, Packet
from sampan.net.runtime.view.recent import Recent


def test_the_last_frames_are_kept(make_frame, make_offloaded):
    ticks = itertools.count(1)
    recent = Recent(lambda: next(ticks), snap_length=60)
    recent.seen("web", (make_frame(),), 0, Direction.OUT)
    recent.seen("db", (make_offloaded(b"x" * 500),), 10, Direction.IN)
    assert len(recent) == 2
    dumped = list(pcapng.read(b"".join(recent.dump({bytes(4): ("a",)}))))
    assert dumped[:3] == [Interface("web", 60), Interface("db", 60), Names({bytes(4): ("a",)})]
    first, second = dumped[3:]
    assert (first.data, first.time_ns, first.interface) == (make_frame(), 1, 0)
    assert (len(second.data), second.length, second.direction) == (60, 554, Direction.IN)


def test_memory_is_bounded(make_frame):
    recent = Recent(lambda: 0, max_bytes=10_000, snap_length=100)
    for number in range(1000):
        recent.seen("web", (make_frame(b"%04d" % number),), 0, Direction.OUT)
    packets = [each for each in pcapng.read(b"".join(recent.dump({}))) if isinstance(each, Packet)]
    assert 20 < len(packets) == len(recent) < 50
    assert packets[-1].data.endswith(b"0999")
