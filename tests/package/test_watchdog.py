import pytest

from sampan.package import space
from sampan.package.watchdog import StuckError, Watchdog


class Clock:
    now_s = 0.0

    def wall_s(self):
        return self.now_s

    def monotonic_s(self):
        return self.now_s


class Task:
    done = 0

    def advance(self, amount):
        self.done += amount


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def task():
    return Task()


@pytest.fixture
def dog(tmp_path, clock, task):
    (tmp_path / "before").write_bytes(b"12345")
    return Watchdog([tmp_path], task, patience_s=10, clock=clock)


def test_what_is_written_is_reported(dog, task, tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "new").write_bytes(b"abc")
    dog()
    (tmp_path / "before").unlink()
    dog()
    assert task.done == dog.reported == 3


def test_a_program_that_writes_is_left_alone(dog, clock, tmp_path):
    for size in range(5):
        clock.now_s += 9
        (tmp_path / "new").write_bytes(bytes(size + 1))
        dog()


def test_a_program_that_writes_nothing_is_stuck(dog, clock):
    clock.now_s = 9.9
    dog()
    clock.now_s = 10
    with pytest.raises(StuckError, match="apt wrote nothing for 10 s and was stopped"):
        dog()


def test_on_a_full_disk_it_is_not_waited_for(dog, clock, monkeypatch):
    monkeypatch.setattr(space, "free", lambda folder: 0)
    dog()
    clock.now_s = 2
    with pytest.raises(space.NoSpaceError, match="the disk is full"):
        dog()
