import threading
from queue import Empty

import pytest

from sampan.base.crew import in_parallel


def test_everything_is_done():
    done: list[int] = []
    in_parallel(done.append, range(20), count=3, stop=lambda: None)
    assert sorted(done) == list(range(20))


def test_several_at_a_time():
    together = threading.Barrier(3, timeout=60)
    in_parallel(lambda _: together.wait(), range(3), count=3, stop=together.abort)


def test_the_first_failure_ends_the_others():
    stopped = threading.Event()
    began: list[int] = []

    def work(item):
        began.append(item)
        if item == 0:
            raise ValueError("first")
        assert stopped.wait(60)
        raise RuntimeError("stopped")

    with pytest.raises(ValueError, match="first"):
        in_parallel(work, range(50), count=2, stop=stopped.set)
    assert len(began) < 50


def test_what_hangs_is_left_behind():
    let_go = threading.Event()
    ended = threading.Semaphore(0)

    def work(item):
        if item == 1:
            raise ValueError("first")
        let_go.wait(60)
        ended.release()

    with pytest.raises(ValueError, match="first"):
        in_parallel(work, range(9), count=2, stop=lambda: None, patience_s=0)
    let_go.set()
    assert ended.acquire(timeout=60)
    assert not ended.acquire(timeout=0)  # and nothing more was begun


def test_an_error_that_looks_like_the_end_is_raised():
    def work(item):
        raise Empty

    with pytest.raises(Empty):
        in_parallel(work, [1], count=1, stop=lambda: None)


def test_nothing_to_do():
    in_parallel(print, [], count=0, stop=lambda: None)
