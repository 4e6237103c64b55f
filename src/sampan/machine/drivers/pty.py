"""The console of a hypervisor that wants a terminal: a pseudo-terminal whose other end is ours.

The hypervisor has the terminal as stdin and stdout. This process keeps that end open too, so
that the hypervisor may be started again; `hang_up` closes it, and when everything that was said
has been read, the console is told that the connection is lost.
"""

from __future__ import annotations

import asyncio
import os
import tty
from contextlib import suppress

_CHUNK = 64 << 10


class PtyTransport(asyncio.Transport):
    """Our end, as the transport of `protocol`. `terminal` is the other end, `path` its name."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._protocol = protocol
        self._master, self.terminal = os.openpty()
        tty.setraw(self.terminal)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self.terminal)
        self._to_send = bytearray()
        self._lost = False
        protocol.connection_made(self)
        self._loop.add_reader(self._master, self._read)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """See `asyncio.WriteTransport.write`."""
        if self._lost:
            return
        self._to_send += data
        self._send()

    def is_closing(self) -> bool:
        """See `asyncio.BaseTransport.is_closing`."""
        return self._lost

    def pause_reading(self) -> None:
        """See `asyncio.ReadTransport.pause_reading`."""
        if not self._lost:
            self._loop.remove_reader(self._master)

    def resume_reading(self) -> None:
        """See `asyncio.ReadTransport.resume_reading`."""
        if not self._lost:
            self._loop.add_reader(self._master, self._read)

    def hang_up(self) -> None:
        """Nobody will say anything more: tell the protocol once all was read."""
        if self.terminal >= 0:
            os.close(self.terminal)
            self.terminal = -1
        self.resume_reading()

    def close(self) -> None:
        """Close both ends at once."""
        self.hang_up()
        self._end()

    def _read(self) -> None:
        try:
            data = os.read(self._master, _CHUNK)
        except BlockingIOError:
            return
        except OSError:  # EIO: the other end is closed (on Linux; elsewhere there is no data)
            data = b""
        if data:
            self._protocol.data_received(data)
        else:
            self._end()

    def _send(self) -> None:
        with suppress(BlockingIOError):
            try:
                del self._to_send[: os.write(self._master, self._to_send)]
            except OSError as error:
                if isinstance(error, BlockingIOError):
                    raise
                self._to_send.clear()  # it hung up
        if self._to_send:
            self._loop.add_writer(self._master, self._send)
        else:
            self._loop.remove_writer(self._master)

    def _end(self) -> None:
        if self._lost:
            return
        self._lost = True
        self._loop.remove_reader(self._master)
        self._loop.remove_writer(self._master)
        os.close(self._master)
        self._protocol.connection_lost(None)
