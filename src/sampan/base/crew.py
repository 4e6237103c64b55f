"""Several pieces of slow work at a time; the first failure ends them all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

_T = TypeVar("_T")


def in_parallel(
    work: Callable[[_T], object],
    items: Iterable[_T],
    *,
    count: int,
    stop: Callable[[], None],
) -> None:
    """Do `work` for each of `items`, up to `count` at a time, and wait for all.

    When one fails, or the user interrupts, `stop` is called, which has to make those that are
    under way fail soon; then the first failure is raised.
    """
    with ThreadPoolExecutor(max_workers=max(1, count), thread_name_prefix="sampan-crew") as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
