import os
import time

import pytest

from sampan.errors import SampanError
from sampan.image.store import KEPT_S, Store


class Clock:
    def __init__(self):
        self.now_s = time.time()

    def wall_s(self):
        return self.now_s

    def monotonic_s(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(tmp_path, clock):
    return Store(tmp_path / "steps", clock)


def content(store, path):
    with store.open(path) as found:
        return None if found is None else found.read()


def test_what_is_made_is_found(store):
    path = store.path("a", "b")
    assert content(store, path) is None
    store.make(path, lambda out: out.writelines([b"abc"]))
    assert content(store, path) == b"abc"
    assert store.has(path)


def test_the_name_has_all_facts_and_where_they_end(store):
    assert len({store.path("a", "b"), store.path("ab"), store.path("b", "a")}) == 3


def test_copy(store, tmp_path):
    path = store.path("a")
    store.make(path, lambda out: out.writelines([b"abc"]))
    with (tmp_path / "out").open("wb") as out, store.open(path) as found:
        out.write(b"1")
        found.copy_to(out)
        found.copy_to(out)
    assert (tmp_path / "out").read_bytes() == b"1abcabc"


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d[:-1],
        lambda d: d[1:],
        lambda d: bytes(len(d)),
        lambda d: b"abd" + d[3:],
        lambda d: d[:-1] + bytes([d[-1] ^ 1]),
    ],
)
def test_what_a_power_failure_or_a_bad_disk_leaves_is_not_found(store, damage):
    path = store.path("a")
    store.make(path, lambda out: out.writelines([b"abc"]))
    path.write_bytes(damage(path.read_bytes()))
    assert content(store, path) is None
    store.make(path, lambda out: out.writelines([b"new"]))
    assert content(store, path) == b"new"


def test_nothing_appears_when_it_fails(store):
    def fail(out):
        out.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(SampanError) as caught:
        store.make(store.path("a"), fail)
    assert str(caught.value) == f"{store.folder} cannot be written: no space left on device"
    assert list(store.folder.iterdir()) == []


def test_what_was_not_used_for_long_is_removed(store, clock):
    old, used, new = (store.path(name) for name in ("old", "used", "new"))
    for path in (old, used):
        store.make(path, lambda out: out.writelines([b"abc"]))
        os.utime(path, (0, 0))
    clock.now_s = KEPT_S + 2
    assert store.has(used)
    store.make(new, lambda out: out.writelines([b"abc"]))
    assert store.trim() == 27
    assert {path.name for path in store.folder.iterdir()} == {used.name, new.name}


def test_of_too_much_what_was_not_used_for_longest_is_removed(store, clock):
    paths = [store.path(str(number)) for number in range(4)]
    for age, path in enumerate(paths):
        store.make(path, lambda out: out.writelines([bytes(1000)]))
        os.utime(path, (clock.now_s - age * 4000, clock.now_s - age * 4000))
    assert store.trim(kept_bytes=2500) == 2 * 1024
    assert [path.exists() for path in paths] == [True, True, False, False]


def test_what_was_just_used_stays_however_much_it_is(store, clock):
    store.make(store.path("a"), lambda out: out.writelines([bytes(1000)]))
    os.utime(store.path("a"), (clock.now_s - 3599, clock.now_s - 3599))
    assert store.trim(kept_bytes=0) == 0


def test_nothing_is_looked_at_when_nothing_was_made(store, clock):
    store.make(store.path("a"), lambda out: out.writelines([b"abc"]))
    again = Store(store.folder, clock)
    clock.now_s += 2 * KEPT_S
    assert again.trim() == 0
    assert store.trim() == 27


def test_a_folder_that_others_own_is_used(store, monkeypatch):
    def refuse(*_):
        raise PermissionError

    store.make(store.path("a"), lambda out: out.writelines([b"abc"]))
    monkeypatch.setattr(os, "utime", refuse)
    assert content(store, store.path("a")) == b"abc"
