"""A thread with a loop, for devices that have no other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from sampan.base.loop import Loop

_Result = TypeVar("_Result")


class LoopThread:
    """A thread that runs a `Loop` until it is closed; `name` says what for."""

    def __init__(self, name: str, *, is_wakeful: bool = True) -> None:
        self.loop = Loop(name=name, is_wakeful=is_wakeful)
        self._thread = threading.Thread(target=self.loop.run, name=f"sampan-{name}", daemon=True)
        self._thread.start()

    def call(self, work: Callable[[], _Result]) -> _Result:
        """Do something in the thread, and wait for it."""
        return self.loop.submit(work).result()

    def close(self) -> None:
        """End the thread; whatever its loop watched is to have been closed before."""
        self.loop.stop()
        self._thread.join()
        self.loop.close()
