"""The messages in one direction of an HTTP/1 connection, without holding their bodies.

    reader.feed(data)
    while (piece := reader.next()) is not None: …

A piece is a `Head` (its raw bytes; say with `begin_body` what follows it before asking for the
next piece), a part of a `Body` (a view of the data that was fed, with the marks of chunks), or
`DONE` when the message is over. All pieces of what was fed must be asked for before more is fed.

Bounded by one head: what does not end within `max_head` bytes is `MalformedError`, after which
the reader is of no use. How the data is cut into calls makes no difference. It may not know
which direction it reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from sampan.net.services.httphead import CHUNK_LINE, END, Delimiter, Framing
from sampan.net.wire.checksum import Buffer
from sampan.net.wire.error import MalformedError

MAX_HEAD = 65_536
_STEP = 4096  # how much is looked at for the end of a head at once
_LINE_END = b"\r\n"
_NOTHING = memoryview(b"")


@dataclass(frozen=True, slots=True)
class Head:
    """The bytes of a head, with the empty line that ends it."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class Body:
    """Bytes of a body as they came; `size` of them are content, the rest mark chunks."""

    data: Buffer
    size: int


class Done(Enum):
    """A message is over."""

    DONE = "done"


DONE = Done.DONE
Piece: TypeAlias = Head | Body | Done


class _State(Enum):
    HEAD = "head"
    BODY = "body"  # `_left` more bytes
    CHUNK = "chunk"  # `_left` more bytes, then a line's end
    CHUNK_LINE = "chunk line"
    CHUNK_END = "chunk end"
    TRAILER = "trailer"
    UNTIL_END = "until end"
    DONE = "done"


class Reader:
    """One direction of one connection."""

    __slots__ = ("_held", "_left", "_max_head", "_position", "_state", "_trailer", "_view")

    def __init__(self, max_head: int = MAX_HEAD) -> None:
        self._max_head = max_head
        self._state = _State.HEAD
        self._held = bytearray()
        self._view = _NOTHING
        self._position = 0
        self._left = 0
        self._trailer = 0

    @property
    def is_between(self) -> bool:
        """Whether no message has begun."""
        return self._state is _State.HEAD and not self._held

    def feed(self, data: Buffer) -> None:
        """Take in the next bytes. They are not copied, and must stay until they are read."""
        self._view = memoryview(data)
        self._position = 0

    def begin_body(self, framing: Framing) -> None:
        """What follows the head that `next` gave last."""
        if framing.delimiter is Delimiter.CHUNKS:
            self._state = _State.CHUNK_LINE
            self._trailer = 0
        elif framing.delimiter is Delimiter.END:
            self._state = _State.UNTIL_END
        else:
            self._left = framing.length
            self._state = _State.BODY if framing.length else _State.DONE

    def next(self) -> Piece | None:
        """The next piece; None to wait for more.

        Raises:
            MalformedError: a head or line does not end, or a chunk has no size.
        """
        piece = self._next()
        if piece is None:  # all of it is read: do not hold the caller's buffer
            self._view, self._position = _NOTHING, 0
        return piece

    def _next(self) -> Piece | None:
        match self._state:
            case _State.DONE:
                self._state = _State.HEAD
                return DONE
            case _State.HEAD:
                raw = self._until(END, self._max_head)
                return None if raw is None else Head(raw)
            case _State.BODY | _State.CHUNK:
                return self._counted()
            case _State.UNTIL_END:
                piece = self._cut(len(self._view))
                return Body(piece, len(piece)) if piece else None
            case _:
                line = self._until(_LINE_END, self._max_head)
                return None if line is None else self._line(line)

    def skip(self, size: int) -> bool:
        """Count `size` bytes of a body that goes on behind them; else (False) feed them."""
        if self._state is _State.BODY or self._state is _State.CHUNK:
            if size < self._left:
                self._left -= size
                return True
            return False
        return self._state is _State.UNTIL_END

    def ended(self) -> bool:
        """The stream is over: whether that is the proper end of a message that was under way."""
        return self._state is _State.UNTIL_END

    def rest(self) -> bytes:
        """Everything that was fed and not read, taken out."""
        rest = bytes(self._held) + bytes(self._cut(len(self._view)))
        self._held.clear()
        return rest

    def _counted(self) -> Body | None:
        piece = self._cut(self._left)
        if not piece:
            return None
        self._left -= len(piece)
        if not self._left:
            self._state = _State.DONE if self._state is _State.BODY else _State.CHUNK_END
        return Body(piece, len(piece))

    def _line(self, line: bytes) -> Body:
        """One line of the marks around chunks."""
        if self._state is _State.CHUNK_END:
            if line != _LINE_END:
                self._held += line  # `rest` gives it back
                raise MalformedError("a chunk that is longer than it said")
            self._state = _State.CHUNK_LINE
        elif self._state is _State.TRAILER:
            self._trailer += len(line)
            if self._trailer > self._max_head:
                raise MalformedError("a trailer that does not end")
            if line == _LINE_END:
                self._state = _State.DONE
        else:
            found = CHUNK_LINE.fullmatch(line[:-2])
            if found is None:
                self._held += line
                raise MalformedError("a chunk without a size")
            self._left = int(found[1], 16)
            self._state = _State.CHUNK if self._left else _State.TRAILER
        return Body(line, 0)

    def _until(self, mark: bytes, limit: int) -> bytes | None:
        """What comes up to and with `mark`; what there is of it is held until it is whole."""
        held, view = self._held, self._view
        while self._position < len(view):
            piece = self._cut(_STEP)
            held += piece
            if mark is END:  # empty lines may stand before a message (RFC 9112, 2.2)
                while held[:2] == _LINE_END:
                    del held[:2]
            found = held.find(mark, max(0, len(held) - len(piece) - len(mark) + 1))
            size = found + len(mark)
            if (found < 0 and len(held) >= limit) or size > limit:
                raise MalformedError("the head of a message, or a line, that does not end")
            if found >= 0:
                self._position -= len(held) - size
                whole = bytes(held[:size])
                held.clear()
                return whole
        return None

    def _cut(self, size: int) -> memoryview:
        piece = self._view[self._position : self._position + size]
        self._position += len(piece)
        return piece
