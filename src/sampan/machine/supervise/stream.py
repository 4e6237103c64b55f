"""One connection to a control socket, from within: bytes in, bytes out, with back pressure.

As long as the connection carries messages only writing is of interest; after an upgrade it can be
read, too. Whoever reads slowly makes the peer wait.
"""

from __future__ import annotations

import asyncio

_HIGH_WATER = 256 << 10


class Stream:
    """A connection; its protocol feeds it, whoever has upgraded it uses it."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.is_raw = False
        self._transport = transport
        self._received = bytearray()
        self._at_end = False
        self._is_lost = False
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    @property
    def pending_bytes(self) -> int:
        """How much the peer has not taken yet."""
        return self._transport.get_write_buffer_size()

    async def read(self) -> bytes:
        """What the peer sent, at least one byte; none when it will send no more."""
        while not self._received and not self._at_end:
            self._readable.clear()
            await self._readable.wait()
        data = bytes(self._received)
        self._received.clear()
        if not self._is_lost:
            self._transport.resume_reading()
        return data

    def write(self, data: bytes) -> None:
        """Send `data`; nothing happens when the peer is gone."""
        if not self._is_lost:
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the peer has taken most of what was sent.

        Raises:
            ConnectionError: it is gone.
        """
        await self._writable.wait()
        if self._is_lost:
            raise ConnectionResetError("the client has gone")

    def close(self) -> None:
        """Close the connection when all is sent."""
        self._transport.close()

    def abort(self) -> None:
        """Close it at once."""
        self._transport.abort()

    def feed(self, data: bytes) -> None:
        """The peer sent `data`."""
        self._received += data
        if len(self._received) > _HIGH_WATER:
            self._transport.pause_reading()
        self._readable.set()

    def feed_eof(self) -> None:
        """The peer will send no more."""
        self._at_end = True
        self._readable.set()

    def pause_writing(self) -> None:
        """The peer is slow."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self._writable.set()

    def lost(self) -> None:
        """The connection is gone."""
        self._is_lost = self._at_end = True
        self._readable.set()
        self._writable.set()
