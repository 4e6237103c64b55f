import os
import select

import pytest

from sampan.base.poller import ERROR, HANGUP, READ, WRITE, SelectorPoller, new_poller


@pytest.fixture(params=[new_poller, SelectorPoller], ids=["best", "selectors"])
def poller(request):
    made = request.param()
    yield made
    made.close()


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for each in ends:
        os.close(each)


def test_the_numbers_are_those_of_epoll():
    assert (READ, WRITE, HANGUP) == (select.EPOLLIN, select.EPOLLOUT, select.EPOLLHUP)


def test_what_is_ready_is_told_as_long_as_it_is(poller, pipe):
    reading, writing = pipe
    poller.register(reading, READ)
    assert poller.poll(0) == []
    os.write(writing, b"x")
    assert poller.poll(None) == [(reading, READ)]
    assert poller.poll(0) == [(reading, READ)]
    os.read(reading, 1)
    assert poller.poll(0) == []


def test_other_events_can_be_asked_for(poller, pipe):
    reading, writing = pipe
    poller.register(writing, WRITE)
    [(fd, events)] = poller.poll(0)
    assert (fd, events & ~ERROR) == (writing, WRITE)  # selectors cannot tell what is broken
    poller.register(reading, READ | WRITE)
    poller.modify(reading, READ)
    poller.unregister(writing)
    assert poller.poll(0) == []
