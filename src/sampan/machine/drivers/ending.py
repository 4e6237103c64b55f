"""Waiting for the end of a hypervisor's process, beside an event loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from sampan.base import proc


def status_of(process: proc.Child, name: str) -> asyncio.Future[int]:
    """The status of `process`, once it has ended; negative after a signal.

    The thread that waits is its own, called `name`: those of the loop are few, and would all
    wait for machines when there are many, while whoever needs one for a moment waited for them.
    """
    waiter = ThreadPoolExecutor(1, thread_name_prefix=name)
    ended = asyncio.get_running_loop().run_in_executor(waiter, process.wait)
    waiter.shutdown(wait=False)
    return ended
