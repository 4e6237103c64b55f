"""The serial console of a machine: what it said, waiting for what it will say, typing.

The transcript is plain text (see `PlainText`) and bounded: of a machine that prints for
weeks the last part is kept. Whoever wants the raw bytes attaches a sink.
"""

from __future__ import annotations

import asyncio
import codecs
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from typing import cast

import msgspec

from sampan.machine.bell import Bell
from sampan.machine.error import MachineEndedError, MachineTimeoutError

DEFAULT_TRANSCRIPT_CHARS = 1 << 20
_TAIL_LINES = 12
_ESC, _BEL, _CR = 0x1B, 0x07, 0x0D


class _Mode(Enum):
    TEXT = auto()
    ESCAPE = auto()
    CONTROL_SEQUENCE = auto()
    STRING = auto()
    STRING_ESCAPE = auto()


class PlainText:
    """Removes what only a terminal understands: escape sequences (ECMA-48) and carriage returns."""

    def __init__(self) -> None:
        self._mode = _Mode.TEXT

    def feed(self, data: bytes) -> bytes:
        """The text in `data`; a sequence may continue in the next call."""
        if self._mode is _Mode.TEXT and _ESC not in data:
            return data.replace(b"\r", b"")
        text = bytearray()
        for byte in data:
            if self._mode is _Mode.TEXT:
                if byte == _ESC:
                    self._mode = _Mode.ESCAPE
                elif byte != _CR:
                    text.append(byte)
            else:
                self._mode = self._next(byte)
        return bytes(text)

    def _next(self, byte: int) -> _Mode:
        if self._mode is _Mode.ESCAPE:
            if byte == ord("["):
                return _Mode.CONTROL_SEQUENCE
            if byte in b"]PX^_":
                return _Mode.STRING
            return _Mode.ESCAPE if 0x20 <= byte <= 0x2F else _Mode.TEXT
        if self._mode is _Mode.CONTROL_SEQUENCE:
            return _Mode.TEXT if 0x40 <= byte <= 0x7E else _Mode.CONTROL_SEQUENCE
        if self._mode is _Mode.STRING_ESCAPE:
            return _Mode.TEXT if byte == ord("\\") else _Mode.STRING
        if byte == _BEL:
            return _Mode.TEXT
        return _Mode.STRING_ESCAPE if byte == _ESC else _Mode.STRING


class Match(msgspec.Struct, frozen=True):
    """What `expect` found: the text itself, its groups, and what came before it."""

    text: str
    groups: tuple[str | None, ...]
    before: str


class Transcript:
    """The last `limit` characters of a console. Positions count from the very first one."""

    def __init__(self, limit: int = DEFAULT_TRANSCRIPT_CHARS) -> None:
        self._limit = limit
        self._text = ""
        self._dropped = 0
        self._plain = PlainText()
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode

    def append(self, data: bytes) -> None:
        """The console said `data`."""
        self._text += self._decode(self._plain.feed(data))
        surplus = len(self._text) - self._limit
        if surplus > 0:
            self._text = self._text[surplus:]
            self._dropped += surplus

    def __str__(self) -> str:
        return self._text

    @property
    def end(self) -> int:
        """The position after the last character."""
        return self._dropped + len(self._text)

    def since(self, position: int) -> str:
        """The text from `position` on, as far as it is still there."""
        return self._text[max(0, position - self._dropped) :]

    def search(self, pattern: re.Pattern[str], position: int) -> tuple[Match, int] | None:
        """The first match from `position` on, and the position after it."""
        start = max(0, position - self._dropped)
        found = pattern.search(self._text, start)
        if found is None:
            return None
        before = self._text[start : found.start()]
        return Match(found.group(), found.groups(), before), self._dropped + found.end()

    def tail(self) -> str:
        """The last lines, for an error message."""
        return "\n".join(f"    {line}" for line in self._text.splitlines()[-_TAIL_LINES:])


class Console(asyncio.Protocol):
    """A live console: asyncio calls the lower methods, users the upper ones."""

    def __init__(self, *, transcript_chars: int = DEFAULT_TRANSCRIPT_CHARS) -> None:
        self.transcript = Transcript(transcript_chars)
        self._cursor = 0
        self._sinks: list[Callable[[bytes], None]] = []
        self._bell = Bell()
        self._transport: asyncio.Transport | None = None
        self._lines = 0
        self._holds = 0
        self._ended = False

    @property
    def live(self) -> bool:
        """Whether the machine is there to read what is typed."""
        return self._transport is not None

    def attach(self, sink: Callable[[bytes], None]) -> None:
        """Call `sink` with all bytes from now on."""
        self._sinks.append(sink)

    async def expect(self, wanted: str | re.Pattern[str], *, timeout_s: float) -> Match:
        """Wait until the console shows `wanted` (plain text, or a compiled pattern).

        Looks only at what came after the match of the call before.

        Raises:
            MachineTimeoutError: it did not within `timeout_s`; the message has the last lines.
            MachineEndedError: the machine ended without having shown it.
        """
        pattern = re.compile(re.escape(wanted)) if isinstance(wanted, str) else wanted
        try:
            async with asyncio.timeout(timeout_s):
                while (found := self.transcript.search(pattern, self._cursor)) is None:
                    if self._ended:
                        raise MachineEndedError(self._missed("the machine ended without", pattern))
                    await self._bell.wait()
        except TimeoutError:
            message = self._missed(f"after {timeout_s:g} s the console has not shown", pattern)
            raise MachineTimeoutError(message) from None
        match, self._cursor = found
        return match

    async def seen(self, pattern: re.Pattern[str]) -> Match:
        """Wait until `pattern` stands anywhere in the transcript; `expect` is not disturbed.

        Raises:
            MachineEndedError: the machine ended without having shown it.
        """
        while (found := self.transcript.search(pattern, 0)) is None:
            if self._ended:
                raise MachineEndedError(self._missed("the machine ended without", pattern))
            await self._bell.wait()
        return found[0]

    def send(self, text: str | bytes) -> None:
        """Type `text`.

        Raises:
            MachineEndedError: nobody is there to read it.
        """
        if self._transport is None:
            raise MachineEndedError("cannot type on the console: the machine has ended")
        self._transport.write(text.encode() if isinstance(text, str) else text)

    def send_line(self, text: str) -> None:
        """Type `text` and the return key."""
        self.send(text + "\r")

    def pause(self) -> None:
        """Take nothing from the machine until `resume`: it waits when it has more to say."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Go on after `pause`."""
        if self._transport is not None:
            self._transport.resume_reading()

    async def closed(self) -> None:
        """Wait until the machine said its last word."""
        while not self._ended:
            await self._bell.wait()

    @contextmanager
    def held(self) -> Iterator[None]:
        """For the block, the console does not end with its machine: another process follows."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
            self._end_if_over()

    def skip(self) -> None:
        """Let the next `expect` look only at what comes from now on."""
        self._cursor = self.transcript.end

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of `asyncio.Protocol`; the line of a process that follows another may come first."""
        self._lines += 1
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Part of `asyncio.Protocol`."""
        self.transcript.append(data)
        for sink in self._sinks:
            sink(data)
        self._bell.ring()

    def connection_lost(self, exc: Exception | None) -> None:
        """Part of `asyncio.Protocol`."""
        self._lines = max(0, self._lines - 1)
        if not self._lines:
            self._transport = None
            self._end_if_over()

    def _end_if_over(self) -> None:
        if not (self._lines or self._holds or self._ended):
            self._ended = True
            self._bell.ring()

    def _missed(self, what: str, pattern: re.Pattern[str]) -> str:
        return f"{what} {pattern.pattern!r}; its last lines:\n{self.transcript.tail()}"


class Line(asyncio.Protocol):
    """The console of one process; several may follow one another on a `Console`."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def closed(self) -> None:
        """Wait until the process said its last word."""
        await asyncio.shield(self._over)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of `asyncio.Protocol`."""
        self._console.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Part of `asyncio.Protocol`."""
        self._console.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Part of `asyncio.Protocol`."""
        self._console.connection_lost(exc)
        self._over.set_result(None)
