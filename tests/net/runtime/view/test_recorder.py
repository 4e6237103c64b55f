import pytest

from sampan.errors import UsageError
from sampan.net.link import pcapng
from sampan.net.link.pcapng import Direction, Names, Packet
from sampan.net.runtime.loop import Loop
from sampan.net.runtime.view import recorder as recorder_module
from sampan.net.runtime.view.capture import Options
from sampan.net.runtime.view.recorder import FLUSH_S, Recorder


class Time(Loop):
    """A loop whose time goes as the test says."""

    def __init__(self):
        super().__init__()
        self.at = 100.0
        self.now = lambda: self.at

    def advance(self, seconds):
        self.at += seconds
        self.run_once(0)


@pytest.fixture
def loop():
    found = Time()
    yield found
    found.close()


@pytest.fixture
def recorder(loop):
    found = Recorder(loop, wall_ns=lambda: 7)
    yield found
    found.close()


def packets(data):
    return [each for each in pcapng.read(data) if isinstance(each, Packet)]


def test_frames_come_into_the_file_before_long(recorder, loop, tmp_path, make_frame):
    assert recorder.is_idle
    path = tmp_path / "x.pcapng"
    name = recorder.to_file(path, Options())
    assert not recorder.is_idle
    for expected in (1, 2):
        recorder.seen("web", (make_frame(),), 0, Direction.OUT)
        loop.advance(FLUSH_S + 0.1)
        assert len(packets(path.read_bytes())) == expected
    assert recorder.captures[name].frames == 2
    assert recorder.stop(name).frames == 2
    assert recorder.is_idle
    recorder.seen("web", (make_frame(),), 0, Direction.OUT)
    loop.advance(FLUSH_S + 0.1)
    assert len(packets(path.read_bytes())) == 2


def test_rotated_files(recorder, tmp_path, make_frame):
    recorder.to_file(tmp_path / "x.pcapng", Options(), max_bytes=100_000, max_files=2)
    for _ in range(40):
        recorder.seen("web", (make_frame(b"x" * 10_000),), 0, Direction.OUT)
    recorder.close()
    files = sorted(tmp_path.iterdir())
    assert len(files) == 2
    assert sum(len(packets(each.read_bytes())) for each in files) >= 5


def test_a_reader_gets_what_there_is(recorder, make_frame):
    recorder.learn(bytes([1, 2, 3, 4]), ("a.example",))
    woken: list[bool] = []
    name, sink = recorder.to_reader(Options(filter="tcp"), lambda: woken.append(True))
    assert woken
    recorder.seen("web", (make_frame(),), 0, Direction.IN)
    recorder.stop(name)
    seen = list(pcapng.read(sink.pull()))
    assert [each for each in seen if isinstance(each, Names)] == [
        Names({bytes([1, 2, 3, 4]): ("a.example",)})
    ]
    assert isinstance(seen[-1], Packet)
    assert sink.ended


def test_what_cannot_begin(recorder, tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="makes no sense"):
        recorder.to_file(tmp_path / "x.pcapng", Options(filter="nonsense"))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match="no capture 7"):
        recorder.stop("7")
    monkeypatch.setattr(recorder_module, "MAX_CAPTURES", 1)
    recorder.to_file(tmp_path / "x.pcapng", Options())
    with pytest.raises(UsageError, match="run already"):
        recorder.to_reader(Options(), lambda: None)


def test_the_last_frames(loop, make_frame):
    recorder = Recorder(loop, keep_recent=True)
    assert not recorder.is_idle
    recorder.seen("web", (make_frame(),), 0, Direction.IN)
    assert len(packets(b"".join(recorder.dump()))) == 1


def test_without_them_there_is_nothing_to_dump(recorder):
    assert list(recorder.dump()) == []


def test_names_are_bounded(recorder, monkeypatch):
    monkeypatch.setattr(recorder_module, "MAX_NAMES", 3)
    for last in range(9):
        recorder.learn(bytes([1, 2, 3, last]), ("a",))
    recorder.learn(bytes(4), ())
    assert len(recorder._names) == 3
