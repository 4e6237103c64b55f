"""One call that is served by a child: its process, and the pipes or the terminal between.

Nothing here waits: descriptors are non-blocking, and `server` says when which of them is ready.
What the caller sent and the child has not read is bounded by the channel's window; the child is
read only while the caller takes what it says.
"""

from __future__ import annotations

import fcntl
import os
import signal
import struct
from collections.abc import Callable

_TIOCSCTTY, _TIOCSWINSZ, _TIOCGPTPEER, _TIOCSPTLCK = 0x540E, 0x5414, 0x5441, 0x40045431
IN, OUT, ERR = 0, 1, 2
_PIECE = 32 << 10


class Job:
    """A child and its streams; `status` is None while it runs, else as shells give it."""

    __slots__ = ("_input", "_input_ended", "_terminal", "outputs", "pid", "status", "stdin")

    def __init__(
        self, pid: int, stdin: int | None, outputs: dict[int, int], terminal: int | None = None
    ) -> None:
        self.pid = pid
        self.stdin = stdin
        self.outputs = outputs  # descriptor → stream
        self.status: int | None = None
        self._terminal = terminal
        self._input = bytearray()
        self._input_ended = False

    @property
    def wants_to_write(self) -> bool:
        """Whether there is something that the child has not been given."""
        return self.stdin is not None and bool(self._input)

    def received(self, data: bytes) -> None:
        """The caller sends this to the child."""
        if self.stdin is not None:
            self._input += data

    def ended(self) -> None:
        """The caller sends nothing more."""
        self._input_ended = True
        self.write()

    def write(self) -> int:
        """Give the child what it takes; how many bytes of the channel that frees."""
        if self.stdin is None:
            return 0
        size = 0
        try:
            while self._input:
                written = os.write(self.stdin, self._input[:_PIECE])
                del self._input[:written]
                size += written
        except BlockingIOError:
            return size
        except OSError:  # the child reads no more
            size += len(self._input)
            self._input.clear()
            self._input_ended = True
        if self._input_ended:
            self._end_input()
        return size

    def _end_input(self) -> None:
        assert self.stdin is not None
        if self._terminal is not None:
            if self.status is None:
                _try_write(self.stdin, b"\x04")  # what a terminal has for an end
        else:
            os.close(self.stdin)
        self.stdin = None

    def read(self, descriptor: int, room: int) -> bytes | None:
        """What the child says, at most `room` bytes; empty at its end; None if nothing now."""
        try:
            data = os.read(descriptor, min(room, _PIECE))
        except BlockingIOError:
            return None
        except OSError:  # EIO: the last of a terminal's programs is gone
            data = b""
        if not data:
            self._close(descriptor)
        return data

    def resize(self, rows: int, columns: int) -> None:
        """The caller's window has this size now."""
        if self._terminal is not None:
            _set_size(self._terminal, rows, columns)

    def kill(self, number: int) -> None:
        """Send a signal to the child and what it started."""
        if self.status is None:
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:  # it has not come to make a group of its own yet
                os.kill(self.pid, number)

    def close(self) -> None:
        """Give all descriptors back."""
        self._input.clear()
        if self.stdin is not None and self._terminal is None:
            os.close(self.stdin)
        self.stdin = None
        for descriptor in list(self.outputs):
            self._close(descriptor)
        if self._terminal is not None:
            os.close(self._terminal)
            self._terminal = None

    def _close(self, descriptor: int) -> None:
        del self.outputs[descriptor]
        if descriptor != self._terminal:
            # a terminal that is hung up kills its program, which may be about to end by itself
            os.close(descriptor)


def start(work: Callable[[], int], *, has_input: bool) -> Job:
    """Start a child that does `work` and ends with the status it gives.

    Without input its descriptor 0 is empty.

    Raises:
        OSError: there can be no more processes or descriptors.
    """
    ours: list[int] = []
    theirs: list[int] = []
    try:
        if has_input:
            _add_pipe(ours, theirs, outward=True)
        else:
            theirs.append(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))
        _add_pipe(ours, theirs, outward=False)
        _add_pipe(ours, theirs, outward=False)
        pid = _fork(work, theirs, controls=False)
    except OSError:
        for descriptor in ours:
            os.close(descriptor)
        raise
    finally:
        for descriptor in theirs:
            os.close(descriptor)
    stdin = ours[0] if has_input else None
    return Job(pid, stdin, {ours[-2]: OUT, ours[-1]: ERR})


def start_on_terminal(work: Callable[[], int], terminals: str, size: tuple[int, int]) -> Job:
    """As `start`, with a terminal of `size` (rows, columns) that the child controls.

    `terminals` is the device (ptmx) that makes it.

    Raises:
        OSError: there can be no more processes, descriptors or terminals.
    """
    own = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
    master = os.open(terminals, own | os.O_NONBLOCK)
    try:
        fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("<i", 0))
        slave = fcntl.ioctl(master, _TIOCGPTPEER, own)
        try:
            _set_size(master, *size)
            pid = _fork(work, [slave, slave, slave], controls=True)
        finally:
            os.close(slave)
    except OSError:
        os.close(master)
        raise
    return Job(pid, master, {master: OUT}, terminal=master)


def _add_pipe(ours: list[int], theirs: list[int], *, outward: bool) -> None:
    reader, writer = os.pipe()
    own, other = (writer, reader) if outward else (reader, writer)
    os.set_blocking(own, False)
    ours.append(own)
    theirs.append(other)


def _fork(work: Callable[[], int], streams: list[int], *, controls: bool) -> int:
    """Start the child with these three descriptors; `controls`: the first is its terminal."""
    # a signal for the child waits until it has no handlers of ours any more
    unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
    except OSError:
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        raise
    if pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        return pid
    status = 1
    try:
        os.setsid()
        for number in (signal.SIGPIPE, signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        for place, descriptor in enumerate([os.dup(each) for each in streams]):
            os.dup2(descriptor, place)
        os.closerange(3, 4096)
        if controls:
            fcntl.ioctl(0, _TIOCSCTTY, 0)
        status = work()
    finally:
        os._exit(status)


def _set_size(descriptor: int, rows: int, columns: int) -> None:
    size = [min(max(each, 0), 0xFFFF) for each in (rows, columns)]
    fcntl.ioctl(descriptor, _TIOCSWINSZ, struct.pack("<HHHH", *size, 0, 0))


def _try_write(descriptor: int, data: bytes) -> None:
    try:
        os.write(descriptor, data)
    except OSError:
        return  # it takes nothing: there is nobody to hear of the end
