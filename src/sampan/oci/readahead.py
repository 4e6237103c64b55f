"""Run an iterator in a background thread, a bounded number of items ahead.

For work that leaves the interpreter (decompression, hashing): it goes on while the consumer
does something else. Knows nothing of what the items are.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import Queue
from typing import Generic, Self, TypeVar

_T = TypeVar("_T")


class ReadAhead(Generic[_T]):
    """The items of `source`, at most `depth` of them waiting; what it raises is raised here.

    Use it as a context manager: leaving the block ends the thread, however much is left.
    """

    def __init__(self, source: Iterator[_T], *, depth: int = 8) -> None:
        self._source = source
        self._queue: Queue[tuple[_T] | BaseException | None] = Queue(depth)
        self._stopped = False
        self._ended = False
        # a daemon: a consumer that is itself abandoned must not keep the program alive
        self._thread = threading.Thread(target=self._run, name="sampan-readahead", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        while not self._ended:  # make room, so that the thread sees that it should stop
            self._ended = not isinstance(self._queue.get(), tuple)
        self._thread.join()

    def __iter__(self) -> Iterator[_T]:
        return self

    def __next__(self) -> _T:
        if self._ended:
            raise StopIteration
        item = self._queue.get()
        if isinstance(item, tuple):
            return item[0]
        self._ended = True
        if item is None:
            raise StopIteration
        raise item

    def _run(self) -> None:
        try:
            for item in self._source:
                self._queue.put((item,))
                if self._stopped:
                    break
        except BaseException as error:  # noqa: BLE001  handed over to the consumer
            self._queue.put(error)
        else:
            self._queue.put(None)
