"""The console of a running machine as a pseudo-terminal, for `screen` and its like.

While nobody has it open nothing is put into it (it would be kept, and shown to whoever comes much
later). The kernel does not tell when it is opened: that is looked at when the console says
something, and now and then.
"""

from __future__ import annotations

import asyncio
import os
import select
import termios
import tty
from contextlib import suppress
from pathlib import Path

from sampan.machine.console import Console
from sampan.machine.supervise.screen import Screen

LOOK_S = 0.5
_REPLAY_BYTES = 1024
_READ = 4096


class Tty:
    """A pseudo-terminal at `path`; made and used in the loop's thread.

    Raises:
        OSError: the host has none to give.
    """

    def __init__(self, console: Console, screen: Screen) -> None:
        self._ours, theirs = os.openpty()
        self.path = Path(os.ttyname(theirs))
        os.close(theirs)
        os.set_blocking(self._ours, False)
        self._loop = asyncio.get_running_loop()
        self._console = console
        self._screen = screen
        self._is_open = False
        self._timer: asyncio.TimerHandle | None = None
        console.attach(self._said)
        self._look()

    def close(self) -> None:
        """It is gone; whoever has it open sees an end."""
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._ours)
        os.close(self._ours)
        self._ours = -1

    def _look(self) -> None:
        """Find out whether somebody has opened it."""
        if self._timer is not None:
            self._timer.cancel()
        if self._is_hung_up():
            self._timer = self._loop.call_later(LOOK_S, self._look)
            return
        self._is_open = True
        self._write(self._screen.recent(_REPLAY_BYTES))
        self._loop.add_reader(self._ours, self._typed)

    def _is_hung_up(self) -> bool:
        poll = select.poll()
        poll.register(self._ours, 0)
        return any(event & select.POLLHUP for _, event in poll.poll(0))

    def _said(self, data: bytes) -> None:
        if self._ours < 0:
            return
        if self._is_open:
            self._write(data)
        else:
            self._look()  # whoever is new gets `data` with what was before

    def _write(self, data: bytes) -> None:
        if termios.tcgetattr(self._ours)[3] & termios.ECHO:
            # the kernel forgets it each time it is closed. Now: any other way drops what was not
            # read yet, and waits for whoever writes to it, who waits for us
            tty.setraw(self._ours, termios.TCSANOW)
        with suppress(BlockingIOError):  # a reader that is slow misses something
            os.write(self._ours, data)

    def _typed(self) -> None:
        try:
            data = os.read(self._ours, _READ)
        except BlockingIOError:
            return
        except OSError:  # EIO: nobody has it open any more
            data = b""
        if not data:
            self._is_open = False
            self._loop.remove_reader(self._ours)
            self._look()
        elif self._console.live:
            self._console.send(data)
