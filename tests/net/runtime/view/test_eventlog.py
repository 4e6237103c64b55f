import itertools

import msgspec
import pytest

from sampan.net.runtime.view.eventlog import Entry, EventLog


class Note(msgspec.Struct, frozen=True):
    text: str


@pytest.fixture
def log():
    ticks = itertools.count(100)
    return EventLog(lambda: float(next(ticks)), capacity=3)


def test_entries_are_numbered_and_kept(log):
    assert log.last == 0
    assert log.after() == []
    entry = log.append("flow.opened", Note("a"))
    assert (entry.number, entry.time_s, entry.kind, entry.data) == (
        1,
        100.0,
        "flow.opened",
        Note("a"),
    )
    assert log.after() == [entry]
    assert log.last == 1


@pytest.mark.parametrize(
    ("number", "expected"), [(0, [3, 4, 5]), (2, [3, 4, 5]), (3, [4, 5]), (5, []), (99, [])]
)
def test_replay_of_what_is_still_there(log, number, expected):
    for kind in "abcde":
        log.append(kind)
    assert [each.number for each in log.after(number)] == expected


def test_replay_of_one_kind(log):
    for kind in ("flow.opened", "dns", "flow.closed"):
        log.append(kind)
    assert [each.number for each in log.after(0, "flow.")] == [1, 3]


def test_followers_are_told_until_they_end(log):
    seen: list[Entry] = []
    end = log.follow(seen.append)
    log.append("a")
    end()
    end()
    log.append("b")
    assert [each.kind for each in seen] == ["a"]


def test_a_follower_that_raises_is_told_no_more(log, caplog):
    seen: list[Entry] = []

    def broken(entry):
        seen.append(entry)
        raise ValueError("no")

    log.follow(broken)
    log.follow(seen.append)
    log.append("a")
    log.append("b")
    assert [each.kind for each in seen] == ["a", "a", "b"]
    assert caplog.text.count("told no more") == 1
