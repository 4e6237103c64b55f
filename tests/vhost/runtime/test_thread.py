import threading

import pytest

from sampan.base.loop import LoopClosedError
from sampan.vhost.runtime.thread import LoopThread


def test_a_thread_of_its_own():
    thread = LoopThread("test")
    assert thread.call(lambda: threading.current_thread().name) == "sampan-test"
    with pytest.raises(ZeroDivisionError):
        thread.call(lambda: 1 // 0)
    fired = threading.Event()
    thread.call(lambda: thread.loop.call_at(thread.loop.now() + 0.01, fired.set))
    assert fired.wait(60)
    thread.close()
    with pytest.raises(LoopClosedError, match="the test has been closed"):
        thread.call(lambda: None)
