"""Descriptors, calls from other threads, a timer; and what fails costs only itself."""

import os
import threading

import pytest

from sampan.vhost.runtime.backend import READ
from sampan.vhost.runtime.loop import EDGE, EpollLoop, LoopThread


@pytest.fixture(params=[True, False], ids=["wakeful", "sleepy"])
def loop(request):
    loop = EpollLoop(is_wakeful=request.param)
    yield loop
    loop.close()


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for fd in ends:
        os.close(fd)


def test_what_is_ready_is_told_as_long_as_it_is_so(loop, pipe):
    told = list[object]()
    loop.watch(pipe[0], READ, told.append)
    os.write(pipe[1], b"x")
    loop.turn(0)
    loop.turn(0)
    assert told == [READ, READ]
    loop.unwatch(pipe[0])
    loop.unwatch(pipe[0])
    loop.turn(0)
    assert len(told) == 2


def test_changes_are_told_once(loop, pipe):
    told = list[int]()
    loop.watch(pipe[0], READ | EDGE, told.append)
    for _ in range(2):
        os.write(pipe[1], b"x")
        loop.turn(0)
        loop.turn(0)
    assert told == [READ, READ]
    loop.change(pipe[0], EDGE)
    os.write(pipe[1], b"x")
    loop.turn(0)
    assert len(told) == 2


def test_who_was_unwatched_in_this_turn_is_not_called(loop, pipe):
    other = os.dup(pipe[0])
    told = list[object]()

    def once(_):
        told.append(1)
        loop.unwatch(pipe[0])
        loop.unwatch(other)

    loop.watch(pipe[0], READ, once)
    loop.watch(other, READ, once)
    os.write(pipe[1], b"x")
    loop.turn(0)
    os.close(other)
    assert told == [1]


def test_a_fault_costs_its_descriptor(loop, pipe, caplog):
    def fail(_):
        raise ValueError("a fault")

    loop.watch(pipe[0], READ, fail)
    os.write(pipe[1], b"x")
    loop.turn(0)
    loop.turn(0)
    assert [record.exc_info[0] for record in caplog.records] == [ValueError]


def test_calls_come_at_the_end_of_a_turn_and_may_fail(loop, caplog):
    told = list[object]()

    def first():
        told.append(1)
        loop.call_soon(lambda: told.append(2))

    loop.call_soon(first)
    loop.call_soon(lambda: 1 // 0)
    loop.turn(0)
    assert told == [1]
    assert len(caplog.records) == 1
    loop.turn(0)
    assert told == [1, 2]


def test_the_timer(loop):
    told = list[object]()
    loop.timer = lambda: told.append(loop.now())
    loop.now = lambda: 5.0
    loop.due = 6.0
    loop.turn(0)
    assert told == []
    loop.due = 5.0
    loop.turn(0)
    assert told == [5.0]


def test_a_thread_of_its_own():
    thread = LoopThread("test")
    assert thread.call(lambda: threading.current_thread().name) == "test"
    with pytest.raises(ZeroDivisionError):
        thread.call(lambda: 1 // 0)
    fired = threading.Event()

    def once():
        fired.set()
        thread.loop.due = float("inf")

    def later():
        thread.loop.timer = once
        thread.loop.due = thread.loop.now() + 0.01

    thread.call(later)
    assert fired.wait(10)
    thread.close()
    assert thread.loop.submit(lambda: None).cancelled()
