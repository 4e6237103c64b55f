"""Whether a server of the guest answers, asked through a published port.

An attempt that hangs says nothing about the next one: a guest without an address yet loses
what is sent to it. So attempts are bounded, the later ones longer, and made again.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress

FIRST_ATTEMPT_S = 1.0
LONGEST_ATTEMPT_S = 16.0
PAUSE_S = 0.1
_STATUS = re.compile(rb"HTTP/\d\.\d ([1-4]\d\d)[ \r]")
_STATUS_BYTES = 13  # with the blank after it


async def until(attempt: Callable[[], Awaitable[bool]]) -> None:
    """Make attempts until one succeeds; bound it from outside."""
    limit_s = FIRST_ATTEMPT_S
    while True:
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(limit_s):
                if await attempt():
                    return
        limit_s = min(2 * limit_s, LONGEST_ATTEMPT_S)
        await asyncio.sleep(PAUSE_S)


def says(host: str, port: int, send: bytes = b"") -> Callable[[], Awaitable[bool]]:
    """An attempt that succeeds when a TCP server says anything (after it was sent `send`)."""

    async def attempt() -> bool:
        return bool(await _exchange(host, port, send, 1))

    return attempt


def serves(host: str, port: int, path: str) -> Callable[[], Awaitable[bool]]:
    """An attempt that succeeds when an HTTP server answers with a status below 500."""
    request = f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode()

    async def attempt() -> bool:
        return _STATUS.match(await _exchange(host, port, request, _STATUS_BYTES)) is not None

    return attempt


async def _exchange(host: str, port: int, send: bytes, wanted: int) -> bytes:
    """The first `wanted` bytes a server says; fewer if it closes before."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(send)
        return await reader.readexactly(wanted)
    except asyncio.IncompleteReadError as error:
        return error.partial
    finally:
        writer.close()
