"""Requests, responses and streams, without HTTP's framing: what handlers see.

A `Takeover` ends HTTP on a connection. A `Stream` goes on after its handler returned. It is pulled: the server takes what there is when
its client can take it, so what waits for a slow client stays where it came from.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Protocol, TypeAlias

import msgspec

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
METRICS = "text/plain; version=0.0.4; charset=utf-8"
NDJSON = "application/x-ndjson"
PCAPNG = "application/x-pcapng"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it came. `path` and `query` are decoded; the last of equal keys counts."""

    method: str
    path: str
    query: dict[str, str] = {}
    body: bytes = b""


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that is complete."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    allow: tuple[str, ...] = ()  # methods, for status 405


class Source(Protocol):
    """Where the bytes of a stream come from."""

    @property
    def ended(self) -> bool:
        """Whether nothing will come any more."""

    def pull(self) -> bytes:
        """What there is, at most some hundred KiB; empty if there is nothing now."""

    def close(self) -> None:
        """The client has gone, or all has been pulled."""


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that comes bit by bit. `begin` is given what to call when there is something."""

    content_type: str
    begin: Callable[[Callable[[], None]], Source]


class Takeover(msgspec.Struct, frozen=True, kw_only=True):
    """The connection itself is somebody else's from now on, who says the next on it, and owns it.

    `take` is given it, and what the client said behind its request.
    """

    take: Callable[[socket.socket, bytes], None]


Answer: TypeAlias = Response | Stream | Takeover
