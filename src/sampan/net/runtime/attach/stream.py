"""Frames on a byte stream: QEMU's -netdev stream, HyperKit after its handshake, pipes.

    VM ⇄ Unix socket, each frame behind its length (`net.link.stream`) ⇄ StreamLink

What comes is read into one large buffer, a few hundred frames at a time, and handed on as views
of it. What is to be sent is written with one system call for many frames; what the other side
does not take is kept, within a bound, and beyond that frames are lost, as on any full line.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress

from sampan.base.poller import READ, WRITE
from sampan.net.core.port import Frame
from sampan.net.link.stream import QEMU, Framing
from sampan.net.runtime.engine import Plug
from sampan.net.wire.checksum import Buffer

BATCH = 64  # frames, handed on at once
READS = 4  # before others have their turn
MAX_WAITING = 1 << 20  # bytes that the other side has not taken
_BUFFER = 1 << 18
_PARTS = 900  # of one writev; Linux takes 1024
_ASKED_BUFFER = 1 << 20


class StreamLink:
    """A link on a pair of descriptors, or one for both; owns them.

    `received` is what came already, behind a handshake. `lost` counts frames there was no room
    for.
    """

    head = 0
    verifies = False  # the kernel hands on what it was given

    def __init__(
        self, reading: int, writing: int | None = None, framing: Framing = QEMU,
        received: bytes = b"",
    ) -> None:  # fmt: skip
        self.lost = 0
        self._in = reading
        self._out = reading if writing is None else writing
        self._framing = framing
        self._plug: Plug | None = None
        self._view = memoryview(bytearray(_BUFFER))
        self._view[: len(received)] = received
        self._end = len(received)
        self._waiting = bytearray()
        self._restore = [(fd, os.get_blocking(fd)) for fd in {self._in, self._out}]

    def start(self, plug: Plug) -> None:
        """See `Link.start`.

        Raises:
            OSError: a descriptor cannot be waited for, as that of a file.
        """
        self._plug = plug
        for fd, _ in self._restore:
            os.set_blocking(fd, False)
        plug.loop.watch(self._in, READ, self._ready)
        if self._out != self._in:
            plug.loop.watch(self._out, 0, lambda _: self._write_on())
        plug.loop.call_soon(self._take_first)

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._write_on()
        if events & ~WRITE:
            self._read()

    # In

    def _take_first(self) -> None:
        """What came behind a handshake."""
        if self._end and self._in >= 0:
            self._take()

    def _read(self) -> None:
        for _ in range(READS):
            if self._in < 0:
                return
            room = self._view[self._end :]
            try:
                size = os.readv(self._in, (room,))
            except BlockingIOError:
                return
            except OSError as error:
                self._over(error.strerror or str(error))
                return
            if not size:
                self._over("the other side has closed it")
                return
            self._end += size
            self._take()
            if size < len(room):
                return  # there was no more

    def _take(self) -> None:
        """Hand on the whole frames, and move the rest to the front."""
        view, plug = self._view, self._plug
        length, limit = self._framing.length, self._framing.limit
        assert plug is not None
        frames: list[memoryview] = []
        start, end = 0, self._end
        while end - start >= length.size:
            (size,) = length.unpack_from(view, start)
            if size > limit:
                self._over(f"a frame of {size} bytes; is it the same framing on both sides?")
                return
            stop = start + length.size + size
            if stop > end:
                break
            if size:
                frames.append(view[start + length.size : stop])
            start = stop
            if len(frames) == BATCH:
                plug.received(frames)
                frames = []
                if self._in < 0:
                    return
        if frames:
            plug.received(frames)
        self._end = end - start
        if start and self._end:
            view[: self._end] = bytes(view[start:end])

    # Out

    def send(self, frames: list[Frame]) -> None:
        """See `Link.send`."""
        parts: list[Buffer] = []
        for index, frame in enumerate(frames):
            if self._waiting or self._out < 0:
                self._keep(frames[index:])
                return
            parts.append(self._framing.length.pack(sum(map(len, frame))))
            parts += frame
            if len(parts) >= _PARTS:
                self._write(parts)
                parts = []
        if parts:
            self._write(parts)

    def _write(self, parts: list[Buffer]) -> None:
        try:
            size = os.writev(self._out, parts)
        except BlockingIOError:
            size = 0
        except OSError as error:
            self._over(error.strerror or str(error))
            return
        rest = sum(map(len, parts)) - size
        if rest:
            self._waiting += memoryview(b"".join(parts))[size:]
            self._want_to_write()

    def _keep(self, frames: list[Frame]) -> None:
        """There is a queue already: stand behind it, if there is room."""
        waiting, pack = self._waiting, self._framing.length.pack
        for frame in frames:
            size = sum(map(len, frame))
            if len(waiting) + size > MAX_WAITING or self._out < 0:
                self.lost += 1
            else:
                waiting += pack(size)
                for part in frame:
                    waiting += part

    def _write_on(self) -> None:
        try:
            while self._waiting:
                del self._waiting[: os.write(self._out, self._waiting)]
        except BlockingIOError:
            return
        except OSError as error:
            self._over(error.strerror or str(error))
            return
        self._want_to_write()

    def _want_to_write(self) -> None:
        if self._plug is not None and self._out >= 0:
            events = READ if self._out == self._in else 0
            self._plug.loop.change(self._out, events | (WRITE if self._waiting else 0))

    def _over(self, why: str) -> None:
        if self._plug is not None:
            self._plug.lost(why)

    def close(self) -> None:
        """See `Link.close`."""
        if self._in < 0:
            return
        self._in = self._out = -1
        self._waiting.clear()
        for fd, blocking in self._restore:
            if self._plug is not None:
                self._plug.loop.unwatch(fd)
            with suppress(OSError):
                os.set_blocking(fd, blocking)  # it may be shared, as a terminal is
                os.close(fd)


def stream_link(
    connection: socket.socket, framing: Framing = QEMU, received: bytes = b""
) -> StreamLink:
    """A link on a connected stream socket, which it takes over."""
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        connection.setsockopt(socket.SOL_SOCKET, option, _ASKED_BUFFER)
    return StreamLink(connection.detach(), None, framing, received)
