"""When it looks before it sleeps; the time, and what comes when, is given."""

import os

import pytest

from sampan.base import vigil
from sampan.base.vigil import LONGEST_S, MUCH_S, SHORTEST_S, WAITS, Vigil

SHORT_S = LONGEST_S / 2
LOOK_S = 1e-6  # what looking once takes


class World:
    """A clock, and something that comes when it is said to. `slept` has each sleep's timeout."""

    def __init__(self):
        self.now = 100.0
        self.coming = self.now
        self.slept = []
        self.looked = 0

    def clock(self):
        return self.now

    def poll(self, timeout):
        if timeout == 0.0:
            self.looked += 1
            self.now += LOOK_S
        else:
            self.slept.append(timeout)
            end = self.now + (float("inf") if timeout is None else timeout)
            self.now = max(self.now, min(end, self.coming))
        return ["it"] if self.coming <= self.now else []

    def wait(self, vigil, after, timeout=None):
        """One wait, for what comes `after` so many seconds."""
        self.coming = self.now + after
        self.slept.clear()
        self.looked = 0
        return vigil.wait(self.poll, timeout)


@pytest.fixture
def world(monkeypatch):
    monkeypatch.setattr(vigil, "processors", lambda: 2)
    return World()


@pytest.fixture
def awake(world):
    """One that looks, because that has paid."""
    made = Vigil(clock=world.clock)
    for _ in range(WAITS):
        world.wait(made, SHORT_S)
        assert world.slept
    return made


def test_it_looks_after_some_short_waits(world, awake):
    for _ in range(3):
        assert world.wait(awake, SHORT_S) == ["it"]
        assert world.slept == []
        assert world.looked > 1


def test_a_long_wait_is_slept_through_and_ends_it(world, awake):
    began = world.now
    assert world.wait(awake, 1.0) == ["it"]
    assert world.slept == [None]
    assert world.looked * LOOK_S == pytest.approx(LONGEST_S, abs=2 * LOOK_S)
    assert world.now == pytest.approx(began + 1.0)
    world.wait(awake, SHORT_S)
    assert world.looked == 0


def test_much_to_do_ends_it(world, awake):
    world.now += 2 * MUCH_S
    world.wait(awake, SHORT_S)
    assert world.looked == 0


def test_what_was_there_already_says_nothing(world, awake):
    world.wait(awake, 0.0)
    assert (world.looked, world.slept) == (1, [])
    world.wait(awake, SHORT_S)
    assert world.slept == []


def test_bulk_data_never_begins_it(world):
    made = Vigil(clock=world.clock)
    for _ in range(100):
        world.now += 2 * MUCH_S
        world.wait(made, SHORT_S)
        world.wait(made, SHORTEST_S / 2)
        assert world.looked == 0


@pytest.mark.parametrize("timeout", [LONGEST_S / 10, LONGEST_S, 1.0])
def test_a_timeout_holds(world, awake, timeout):
    began = world.now
    assert world.wait(awake, 2.0, timeout) == []
    assert world.now - began == pytest.approx(timeout, abs=2 * LOOK_S)


def test_no_time_to_wait_is_one_look(world, awake):
    assert world.wait(awake, 1.0, 0.0) == []
    assert world.now - world.coming < 2 * LOOK_S
    assert world.slept == []


@pytest.mark.parametrize(("count", "is_wakeful"), [(1, True), (2, False)])
def test_one_processor_is_left_to_others(monkeypatch, count, is_wakeful):
    world = World()
    monkeypatch.setattr(vigil, "processors", lambda: count)
    made = Vigil(is_wakeful=is_wakeful, clock=world.clock)
    for _ in range(3 * WAITS):
        world.wait(made, SHORT_S)
        assert world.looked == 0


def test_processors(monkeypatch):
    assert vigil.processors() >= 1
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert vigil.processors() == os.cpu_count()
