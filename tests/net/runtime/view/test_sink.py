import os

import pytest

from sampan.errors import UsageError
from sampan.net.runtime.view import sink
from sampan.net.runtime.view.sink import FileSink, PullSink, Rotation


def contents(folder):
    return {each.name: each.read_bytes() for each in folder.iterdir()}


def test_one_file(tmp_path):
    (tmp_path / "x.pcapng").write_bytes(b"what was there before")
    file = FileSink(tmp_path / "x.pcapng")
    assert not file.write(b"ab")
    assert not file.write(b"c")
    assert not file.is_full
    file.close()
    file.close()
    assert contents(tmp_path) == {"x.pcapng": b"abc"}


def test_only_the_owner_may_read_it(tmp_path):
    FileSink(tmp_path / "x.pcapng").close()
    assert (tmp_path / "x.pcapng").stat().st_mode & 0o777 == 0o600


def test_rotation(tmp_path):
    file = FileSink(tmp_path / "x.pcapng", Rotation(max_bytes=3))
    assert [file.write(data) for data in (b"ab", b"cd", b"efg", b"h")] == [False, True, True, False]
    file.close()
    assert contents(tmp_path) == {"x.pcapng": b"abcd", "x-1.pcapng": b"efg", "x-2.pcapng": b"h"}


def test_rotation_keeps_the_last_files(tmp_path):
    file = FileSink(tmp_path / "x.pcapng", Rotation(max_bytes=1, max_files=2))
    for data in (b"a", b"b", b"c", b"d"):
        file.write(data)
    file.close()
    assert contents(tmp_path) == {"x-2.pcapng": b"c", "x-3.pcapng": b"d"}


def test_rotation_by_time(tmp_path):
    clock = [0.0]
    file = FileSink(tmp_path / "x.pcapng", Rotation(max_seconds=10), now=lambda: clock[0])
    clock[0] = 100.0
    assert not file.look()  # nothing has been written
    assert not file.write(b"a")
    clock[0] = 109.0
    assert not file.look()
    assert not file.write(b"b")
    clock[0] = 110.0
    assert file.look()
    assert not file.look()
    clock[0] = 500.0
    assert contents(tmp_path) == {"x.pcapng": b"ab"}
    assert not file.write(b"c")
    clock[0] = 510.0
    assert file.write(b"d")
    file.close()
    assert contents(tmp_path) == {"x.pcapng": b"ab", "x-1.pcapng": b"cd"}


@pytest.mark.parametrize(
    "fields", [{"max_bytes": -1}, {"max_seconds": -1.0}, {"max_files": -1}, {"max_files": 3}]
)
def test_limits_that_make_no_sense(tmp_path, fields):
    with pytest.raises(UsageError, match="a capture"):
        FileSink(tmp_path / "x.pcapng", Rotation(**fields))
    assert contents(tmp_path) == {}


def test_a_place_that_cannot_be_written(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        FileSink(tmp_path / "no" / "x.pcapng")


def test_pulling(monkeypatch):
    monkeypatch.setattr(sink, "MAX_WAITING", 4)
    woken: list[bool] = []
    pull = PullSink(lambda: woken.append(True))
    assert pull.pull() == b""
    pull.write(b"abc")
    pull.write(b"de")
    assert not pull.look()
    full = pull.is_full
    assert (full, pull.pull(), pull.ended) == (True, b"abcde", False)
    assert not pull.is_full
    pull.close()
    assert (pull.ended, len(woken)) == (True, 3)


def test_a_pipe_is_no_file(tmp_path):
    """Nobody reads it: opening it would wait, and the network with it."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="cannot be written"):
        FileSink(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(UsageError, match="it is a pipe"):
        FileSink(tmp_path / "pipe")
    os.close(reader)
