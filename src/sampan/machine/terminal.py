"""A machine's console on the terminal (or pipe) that Sampan itself was started from.

On a terminal every key goes to the guest, Ctrl-C included; only Ctrl-A is special, as QEMU's
users know it: Ctrl-A x ends the machine, Ctrl-A p presses its power button, Ctrl-A h tells
so, Ctrl-A Ctrl-A sends one Ctrl-A. Elsewhere the output is plain text and nothing is read.

Output is written by a thread: a reader that is slow (or a pager that waits) makes the guest
wait, never this program. A reader that is gone makes the output vanish; the machine goes on.
"""

from __future__ import annotations

import asyncio
import os
import select
import termios
import threading
import tty
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto

from sampan.machine.console import Console, PlainText

_PREFIX = 0x01  # Ctrl-A
_HIGH_WATER = 256 << 10
_LOW_WATER = 64 << 10
_READ_BYTES = 4096

ESCAPES = "Ctrl-A x ends the machine, Ctrl-A p presses its power button, Ctrl-A h repeats this"


class Escape(Enum):
    """What a user can ask for without the guest knowing."""

    LEAVE = auto()
    POWER_BUTTON = auto()
    HELP = auto()
    DETACH = auto()  # for those who only look on; whoever runs the machine cannot


_ESCAPES = {
    ord("x"): Escape.LEAVE, ord("p"): Escape.POWER_BUTTON, ord("h"): Escape.HELP,
    ord("d"): Escape.DETACH,
}  # fmt: skip


class Keyboard:
    """Sorts what is typed into bytes for the guest and requests for us. Pure."""

    def __init__(self) -> None:
        self._prefixed = False

    def feed(self, typed: bytes) -> tuple[bytes, tuple[Escape, ...]]:
        """The bytes to pass on, and the escapes, in `typed`; a prefix may be its last byte."""
        passed = bytearray()
        escapes: list[Escape] = []
        for key in typed:
            if not self._prefixed:
                self._prefixed = key == _PREFIX
                if not self._prefixed:
                    passed.append(key)
                continue
            self._prefixed = False
            escape = _ESCAPES.get(key | 0x20 if key > 0x40 else key)
            if escape is not None:
                escapes.append(escape)
            elif key in (_PREFIX, ord("a")):
                passed.append(_PREFIX)
            else:
                escapes.append(Escape.HELP)
        return bytes(passed), tuple(escapes)


@contextmanager
def raw_mode(descriptor: int) -> Iterator[Callable[[], None]]:
    """A terminal that hands on every key; as it was before, however the block is left.

    The block gets a function that makes it raw again, for after SIGCONT.
    """
    before = termios.tcgetattr(descriptor)

    def make_raw() -> None:
        tty.setraw(descriptor, termios.TCSADRAIN)

    make_raw()
    try:
        yield make_raw
    finally:
        with suppress(termios.error):  # a terminal that was closed needs no restoring
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


class Output:
    """Writes console output to a descriptor; make it in the loop's thread, then `attach`."""

    def __init__(self, descriptor: int, *, plain: bool) -> None:
        self._descriptor = descriptor
        self._filter = PlainText().feed if plain else bytes
        self._loop = asyncio.get_running_loop()
        self._console: Console | None = None
        self._queue: deque[bytes] = deque()
        self._pending_bytes = 0
        self._paused = False
        self._gone = False
        self._closing = False
        self._state = threading.Condition()
        self._drained = asyncio.Event()
        # a daemon: a pipe that nobody empties must not keep the program from ending
        self._thread = threading.Thread(target=self._write_all, name="console output", daemon=True)
        self._thread.start()

    def attach(self, console: Console) -> None:
        """Show all that `console` says from now on."""
        self._console = console
        console.attach(self.write)

    def write(self, data: bytes) -> None:
        """Show `data`; returns at once."""
        text = self._filter(data)
        with self._state:
            if not text or self._gone:
                return
            self._queue.append(text)
            self._pending_bytes += len(text)
            pause = self._pending_bytes > _HIGH_WATER and not self._paused
            self._paused = self._paused or pause
            self._state.notify()
        if pause and self._console is not None:
            self._console.pause()

    async def drain(self) -> None:
        """Wait until all is written, or its reader is gone. Nothing may be written afterwards."""
        with self._state:
            self._closing = True
            self._state.notify()
        await self._drained.wait()

    def close(self) -> None:
        """Let the thread end; what is not written yet is dropped. Nothing waits for that."""
        with self._state:
            self._closing = self._gone = True
            self._queue.clear()
            self._state.notify()

    def _write_all(self) -> None:
        while (data := self._next()) is not None:
            try:
                _write(self._descriptor, data)
            except OSError:  # EPIPE: the reader has gone; EIO: so has the terminal
                with self._state:
                    self._gone = True
                    self._queue.clear()
            self._written(len(data))
        self._tell(self._drained.set)

    def _next(self) -> bytes | None:
        with self._state:
            while not self._queue:
                if self._closing:
                    return None
                self._state.wait()
            return self._queue.popleft()

    def _written(self, count: int) -> None:
        with self._state:
            self._pending_bytes = 0 if self._gone else self._pending_bytes - count
            resume = self._paused and self._pending_bytes < _LOW_WATER
            self._paused = self._paused and not resume
        if resume:
            self._tell(self._resume)

    def _resume(self) -> None:
        if self._console is not None:
            self._console.resume()

    def _tell(self, function: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the loop was closed without waiting for us
            self._loop.call_soon_threadsafe(function)


@contextmanager
def keys(descriptor: int, console: Console, on_escape: Callable[[Escape], None]) -> Iterator[None]:
    """What is typed on `descriptor` goes to `console` for the length of the block."""
    loop = asyncio.get_running_loop()
    keyboard = Keyboard()

    def typed() -> None:
        try:
            data = os.read(descriptor, _READ_BYTES)
        except OSError:  # EIO: the terminal was closed
            data = b""
        if not data:
            loop.remove_reader(descriptor)
            return
        passed, escapes = keyboard.feed(data)
        if passed and console.live:
            console.send(passed)
        for escape in escapes:
            on_escape(escape)

    loop.add_reader(descriptor, typed)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:  # whoever gave us the descriptor made it non-blocking
            poll = select.poll()  # unlike select it takes descriptors of any number
            poll.register(descriptor, select.POLLOUT)
            poll.poll()
