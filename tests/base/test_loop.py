import logging
import os
import select
import socket
import threading

import pytest

from sampan.base.loop import Alarm, Loop, LoopClosedError
from sampan.base.poller import EDGE, ERROR, READ, WRITE, SelectorPoller


class Turns:
    """A `Turn` that notes what it is told."""

    def __init__(self, due=float("inf"), error=None):
        self.due, self.error = due, error
        self.fired, self.settled = [], []

    def next_timer(self):
        return self.due

    def timer_fired(self, now):
        self.fired.append(now)
        self.due = float("inf")
        if self.error:
            raise self.error

    def settle(self, now):
        self.settled.append(now)


@pytest.fixture(
    params=[Loop, lambda: Loop(SelectorPoller()), lambda: Loop(is_wakeful=False)],
    ids=["epoll", "selectors", "sleepy"],
)
def loop(request):
    made = request.param()
    made.now = lambda: 100.0
    yield made
    made.close()


@pytest.fixture
def pair():
    ends = socket.socketpair()
    for each in ends:
        each.setblocking(False)
    yield ends
    for each in ends:
        each.close()


def test_whoever_is_ready_is_called(loop, pair):
    seen: list[int] = []
    loop.watch(pair[0].fileno(), READ, seen.append)
    loop.run_once(0)
    assert seen == []
    pair[1].send(b"x")
    loop.run_once(0)
    loop.run_once(0)
    assert seen == [READ, READ]
    loop.unwatch(pair[0].fileno())
    loop.run_once(0)
    assert len(seen) == 2


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="no epoll here")
def test_changes_are_told_once(pair):
    loop, seen = Loop(), list[int]()
    fd = pair[0].fileno()
    loop.watch(fd, READ | EDGE, seen.append)
    for _ in range(2):
        pair[1].send(b"x")
        loop.run_once(0)
        loop.run_once(0)
    assert seen == [READ, READ]
    loop.change(fd, EDGE)
    pair[1].send(b"x")
    loop.run_once(0)
    assert len(seen) == 2
    loop.close()


def test_watched_for_nothing_not_even_a_hang_up_is_told(loop, pair):
    seen: list[int] = []
    fd = pair[0].fileno()
    loop.watch(fd, 0, seen.append)
    pair[1].close()
    loop.run_once(0)
    assert seen == []
    loop.change(fd, READ)
    loop.run_once(0)
    assert seen != []
    seen.clear()
    loop.change(fd, 0)
    loop.change(fd, 0)
    loop.run_once(0)
    assert seen == []
    loop.unwatch(fd)


def test_events_can_be_changed(loop, pair):
    seen: list[int] = []
    fd = pair[0].fileno()
    loop.watch(fd, READ, seen.append)
    loop.change(fd, READ | WRITE)
    loop.run_once(0)
    assert seen[0] & ~ERROR == WRITE  # selectors cannot tell whether it is broken
    loop.unwatch(fd)
    loop.unwatch(fd)


def test_what_was_unwatched_in_this_turn_is_not_called_though_it_was_ready(loop):
    called = []
    pairs = [socket.socketpair() for _ in range(2)]
    fds = [ends[0].fileno() for ends in pairs]

    def first_come(fd):
        """Closes the other one, and opens a new one that gets its number."""
        other = fds[1 - fds.index(fd)]
        called.append(fd)
        loop.unwatch(other)
        pairs[fds.index(other)][0].close()
        fresh = socket.socketpair()
        pairs.append(fresh)
        assert fresh[0].fileno() == other
        loop.watch(other, READ, lambda _: called.append("stale"))
        loop.unwatch(fd)

    for (reading, writing), fd in zip(pairs, fds, strict=True):
        writing.send(b"x")
        loop.watch(reading.fileno(), READ, lambda _, fd=fd: first_come(fd))
    loop.run_once(0)
    assert len(called) == 1
    for ends in pairs:
        for each in ends:
            each.close()


def test_a_callback_that_raises_costs_its_descriptor(loop, pair, caplog):
    def fail(_):
        raise ValueError("ours")

    loop.watch(pair[0].fileno(), READ, fail)
    pair[1].send(b"x")
    with caplog.at_level(logging.ERROR, "sampan"):
        loop.run_once(0)
        loop.run_once(0)
    assert [each.exc_info[0] for each in caplog.records] == [ValueError]


def test_a_callback_that_closes_its_descriptor_and_raises_is_not_the_end_of_the_loop(loop, caplog):
    ends = socket.socketpair()

    def fail(_):
        ends[0].close()
        raise ValueError

    loop.watch(ends[0].fileno(), READ, fail)
    ends[1].send(b"x")
    with caplog.at_level(logging.ERROR, "sampan"):
        loop.run_once(0)
    ends[1].close()
    assert len(caplog.records) == 1


def test_who_raises_after_giving_up_its_descriptor_does_not_cost_that_of_another(loop, caplog):
    ends = socket.socketpair()
    fd = ends[0].fileno()
    seen: list[int] = []

    def fail(_):
        loop.unwatch(fd)
        loop.watch(fd, READ, seen.append)  # as another one that got the number
        raise ValueError

    loop.watch(fd, READ, fail)
    ends[1].send(b"x")
    with caplog.at_level(logging.CRITICAL, "sampan"):
        loop.run_once(0)
        loop.run_once(0)
    assert seen == [READ]
    for each in ends:
        each.close()


def test_timers_in_their_order(loop):
    called = []
    for when, name in ((102.0, "late"), (101.0, "b"), (101.0, "c"), (100.5, "a")):
        loop.call_at(when, lambda name=name: called.append(name))
    loop.call_at(100.7, lambda: called.append("never")).cancel()
    loop.run_once(0)
    assert called == []
    loop.now = lambda: 101.0
    loop.run_once(0)
    assert called == ["a", "b", "c"]


def test_an_alarm_rings_once_at_the_first_time_that_was_asked_for(loop):
    rung: list[float] = []
    alarm = Alarm(loop, lambda: rung.append(loop.now()))
    for when in (107.0, 105.0, 106.0, float("inf")):
        alarm.set(when)
    for now in (104.0, 105.0, 106.0, 107.0):
        loop.now = lambda now=now: now
        loop.run_once(0)
    assert rung == [105.0]
    assert loop._patience() is None
    alarm.set(108.0)
    assert loop._patience() == 1.0
    loop.now = lambda: 108.0
    loop.run_once(0)
    assert rung == [105.0, 108.0]


def test_a_call_that_raises_costs_nothing_else(loop, caplog):
    called = []
    loop.call_at(0, lambda: 1 / 0)
    loop.call_at(0, lambda: called.append("timer"))
    loop.call_soon(lambda: 1 / 0)
    loop.call_soon(lambda: called.append("soon"))
    with caplog.at_level(logging.ERROR, "sampan"):
        loop.run_once(0)
    assert called == ["timer", "soon"]
    assert len(caplog.records) == 2


def test_what_is_called_soon_by_such_a_call_has_to_wait_for_the_next_turn(loop):
    called = []
    loop.call_soon(lambda: loop.call_soon(lambda: called.append(1)))
    loop.run_once(0)
    assert called == []
    loop.run_once(0)
    assert called == [1]


def test_a_turn_ends_by_settling_and_fires_what_is_due(loop):
    turn = loop.turn = Turns(due=100.5)
    loop.run_once(0)
    assert (turn.fired, turn.settled) == ([], [100.0])
    assert loop._patience() == 0.5
    loop.now = lambda: 100.5
    loop.run_once(0)
    assert (turn.fired, turn.settled) == ([100.5], [100.0, 100.5, 100.5])
    assert loop._patience() is None


def test_a_turn_that_fails_is_not_the_end_of_the_loop(loop, caplog):
    loop.turn = Turns(due=0, error=ValueError("ours"))
    with caplog.at_level(logging.ERROR, "sampan"):
        loop.run_once(0)
    assert len(caplog.records) == 1
    assert 0 < loop._patience() < 1
    loop.run_once(0)
    assert len(loop.turn.settled) == 2


def test_it_waits_no_longer_than_the_next_timer(loop):
    assert loop._patience() == 0.0  # whoever was there before it began is asked first
    loop.run_once(0)
    assert loop._patience() is None
    loop.turn = Turns(due=107.0)
    loop.run_once(0)
    assert loop._patience() == 7.0
    loop.call_at(103.0, lambda: None)
    assert loop._patience() == 3.0
    loop.call_at(90.0, lambda: None)
    assert loop._patience() == 0.0


class Running:
    """A loop in a thread of its own."""

    def __init__(self):
        self.loop = Loop()
        self.thread = threading.Thread(target=self.loop.run)
        self.thread.start()

    def __enter__(self):
        return self.loop

    def __exit__(self, *_):
        self.loop.stop()
        self.thread.join()
        self.loop.close()


def test_others_call_into_its_thread():
    with Running() as loop:
        assert loop.submit(threading.get_ident).result(60) != threading.get_ident()
        with pytest.raises(ZeroDivisionError):
            loop.submit(lambda: 1 / 0).result(60)


def test_what_blocks_is_done_elsewhere_and_told_in_the_thread():
    told = threading.Event()
    threads = []

    def work():
        threads.append(threading.get_ident())
        return 7

    def then(done):
        threads.append(threading.get_ident())
        assert done.result() == 7
        told.set()

    with Running() as loop:
        own = loop.submit(threading.get_ident).result(60)
        loop.submit(lambda: loop.in_thread(work, then)).result(60)
        assert told.wait(60)
    assert threads[0] != own
    assert threads[1] == own


def test_a_cancelled_call_is_not_made(loop):
    called = []
    loop.submit(lambda: called.append(1)).cancel()
    loop.run_once(0)
    assert called == []


def test_once_closed_it_refuses_and_leaves_descriptors_alone(loop):
    waiting = loop.submit(lambda: "done")
    loop.close()
    loop.close()
    assert waiting.result(0) == "done"
    ends = os.pipe()  # may have got the numbers of the loop's own
    with pytest.raises(LoopClosedError):
        loop.submit(lambda: None)
    loop.stop()
    os.set_blocking(ends[0], False)
    with pytest.raises(BlockingIOError):
        os.read(ends[0], 1)
    for each in ends:
        os.close(each)


def test_many_calls_wake_it_once(loop):
    called = []
    for _ in range(66_000):  # more than the pipe has room for
        loop.submit(lambda: called.append(1))
    loop.run_once(None)
    assert len(called) == 66_000
