import pytest

from sampan.net.link import pcapng
from sampan.net.link.error import LinkError
from sampan.net.link.pcapng import Interface, Names, Packet
from sampan.net.runtime.view import copied
from sampan.net.runtime.view.copied import Copied
from sampan.net.runtime.view.sink import FileSink, Rotation

WHO = bytes([192, 0, 2, 1])
HEAD = pcapng.section() + pcapng.interface("web")


class Memory:
    def __init__(self):
        self.files = [b""]
        self.is_full = self.is_due = False

    def write(self, blocks):
        self.files[-1] += blocks
        return self.is_full and self.next()

    def look(self):
        return self.is_due and self.next()

    def next(self):
        self.files.append(b"")
        return True

    def read(self):
        return [list(pcapng.read(each)) for each in self.files]


@pytest.fixture
def sink():
    return Memory()


@pytest.mark.parametrize("size", [1, 7, 50, 1000])
def test_pieces_of_any_size(sink, size):
    copy = Copied(sink)
    whole = HEAD + pcapng.packet(b"a frame", 1) + pcapng.names({WHO: ("x",)})
    for at in range(0, len(whole), size):
        copy.received(whole[at : at + size])
        list(pcapng.read(sink.files[0]))  # can be read at any moment
    assert sink.files == [whole]


def test_each_file_has_its_heads(sink):
    copy = Copied(sink)
    copy.received(HEAD + pcapng.names({WHO: ("x",)}))
    sink.is_full = True
    copy.received(pcapng.packet(b"1", 1) + pcapng.interface("db"))
    copy.received(pcapng.packet(b"2", 1, interface=1))
    sink.is_full, sink.is_due = False, True
    copy.received(pcapng.packet(b"3", 1))
    heads = [Interface("web"), Names({WHO: ("x",)})]
    web, db = Interface("web"), Interface("db")
    first, second, _, fourth = sink.read()
    assert [each for each in first if not isinstance(each, Packet)] == [*heads, db]
    for file, data in ((second, b"2"), (fourth, b"3")):
        assert file[:3] == [web, db, heads[1]]
        assert [each.data for each in file[3:]] == [data]


def test_a_piece_that_completes_nothing_begins_no_file(sink):
    copy = Copied(sink)
    copy.received(HEAD)
    sink.is_due = True
    packet = pcapng.packet(b"1", 1)
    copy.received(packet[:9])
    sink.is_due = False
    assert sink.files == [HEAD, b""]
    copy.received(packet[9:])
    assert sink.files == [HEAD, HEAD + packet]


def test_names_are_bounded(sink, monkeypatch):
    monkeypatch.setattr(copied, "MAX_NAMES", 2)
    copy = Copied(sink)
    copy.received(HEAD)
    for number in range(5):
        copy.received(pcapng.names({WHO: (f"n{number}",)}))
    sink.is_full = True
    copy.received(pcapng.packet(b"1", 1))
    sink.is_full = False
    copy.received(pcapng.packet(b"2", 1))
    names = [each.names[WHO] for each in sink.read()[1] if isinstance(each, Names)]
    assert names == [("n3",), ("n4",)]


@pytest.mark.parametrize("data", [b"no capture at all", HEAD + pcapng.section(), HEAD + bytes(8)])
def test_no_capture(sink, data):
    with pytest.raises(LinkError):
        Copied(sink).received(data)


def test_files(tmp_path):
    file = FileSink(tmp_path / "x.pcapng", Rotation(max_bytes=400, max_files=2))
    copy = Copied(file)
    copy.received(HEAD)
    for number in range(20):
        copy.received(pcapng.packet(bytes([number]) * 100, number))
    file.close()
    found = sorted(tmp_path.iterdir(), key=lambda each: int(each.stem.partition("-")[2]))
    assert len(found) == 2
    seen = [
        each.data[0]
        for path in found
        for each in pcapng.read(path.read_bytes())
        if isinstance(each, Packet)
    ]
    assert seen == list(range(seen[0], 20))
