"""Metadata for machines: HTTP at 169.254.169.254, answered in this process.

There is nothing at that address until something is given to be served: who machines are
(`identify`), which makes EC2's and NoCloud's trees (`services.metadata`), or handlers of the
library's user, by path:

    metadata.handle("/inventory/", lambda request: {"rack": 7})

A handler is called in the loop's thread and must not block. It returns what `Answer` allows:
bytes and text as they are, None for "not found", other values as JSON. The address has to be
one of the network's own (`Network.local`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from sampan.errors import UsageError
from sampan.net.core.endpoint import Endpoint
from sampan.net.runtime.channel import Conversation
from sampan.net.runtime.engine import Engine
from sampan.net.runtime.outbound import HostOutbound
from sampan.net.runtime.service.httptalk import HttpTalk, Request, Response
from sampan.net.services import metadata
from sampan.net.services.metadata import Identity, Tokens
from sampan.net.wire.address import format_ip

ADDRESS = bytes([169, 254, 169, 254])
PORT = 80
MAX_ANSWER = 1 << 19  # `channel.MAX_UNSENT` has to hold it
TOKEN_PATH = "/latest/api/token"
_TOKEN_FIELD = "x-aws-ec2-metadata-token"
_TTL_FIELD = "x-aws-ec2-metadata-token-ttl-seconds"

Answer: TypeAlias = "Response | bytes | str | msgspec.Struct | dict[str, Any] | list[Any] | None"
Handler: TypeAlias = Callable[[Request], Answer]
Identify: TypeAlias = Callable[[bytes], Identity | None]


class MetadataService:
    """Answers at port 80 of `address`, once there is something to answer with."""

    def __init__(self, engine: Engine, outbound: HostOutbound, address: bytes = ADDRESS) -> None:
        self._engine = engine
        self._outbound = outbound
        self._address = address
        self._handlers: dict[str, Handler] = {}
        self._identify: Identify = _nobody
        self._tokens = Tokens(os.urandom(32))

    def identify(self, identify: Identify) -> None:
        """Say who machines are: `identify` gives it for an address, or None."""
        self._identify = identify
        self._serve()

    def handle(self, path: str, handler: Handler) -> None:
        """Answer requests for `path`, and for all below it if it ends with a slash.

        The longest path decides, before the trees of `identify`.

        Raises:
            UsageError: it is no path.
        """
        if not path.startswith("/"):
            raise UsageError(f"{path!r} is no path", hint="it begins with /")
        self._handlers[path] = handler
        self._serve()

    def _serve(self) -> None:
        self._outbound.serve(Endpoint(self._address, PORT), self._begin)

    def _begin(self, conversation: Conversation) -> HttpTalk:
        return HttpTalk(self._engine.loop, conversation, self.answer)

    def answer(self, request: Request) -> Response:
        """What a request is answered."""
        handler = self._handler(request.path)
        if handler is not None:
            return _response(handler(request))
        identity = self._identify(request.machine)
        if identity is None:
            return _failure(404, "there is no metadata for this machine")
        if request.path == TOKEN_PATH:
            return self._token(request)
        if request.method not in ("GET", "HEAD"):
            return _failure(405, "metadata can only be read", ("Allow", "GET, HEAD"))
        token = request.value(_TOKEN_FIELD)
        now = self._engine.loop.now()
        if token is not None and not self._tokens.holds(token, request.machine, now):
            return _failure(401, "this token is not good here, or no longer")
        found = metadata.find(identity, request.path, format_ip(request.machine))
        return Response(body=found) if found is not None else _failure(404, "not found")

    def _handler(self, path: str) -> Handler | None:
        fitting = [
            each
            for each in self._handlers
            if path == each or (each.endswith("/") and path.startswith(each))
        ]
        return self._handlers[max(fitting, key=len)] if fitting else None

    def _token(self, request: Request) -> Response:
        """A token, for whoever is not a proxy that was tricked into asking."""
        if request.method != "PUT":
            return _failure(405, "a token is had by PUT", ("Allow", "PUT"))
        if request.value("x-forwarded-for") is not None:
            return _failure(403, "there are no tokens by way of a proxy")
        text = request.value(_TTL_FIELD) or ""
        digits = text.isascii() and text.isdigit() and len(text) <= len(str(metadata.MAX_TOKEN_S))
        if not digits or not 1 <= int(text) <= metadata.MAX_TOKEN_S:
            return _failure(400, f"{_TTL_FIELD}: 1 to {metadata.MAX_TOKEN_S}")
        token = self._tokens.issue(request.machine, int(text), self._engine.loop.now())
        return Response(body=token.encode(), fields=((_TTL_FIELD, text),))


def _nobody(_: bytes) -> Identity | None:
    return None


def _failure(status: int, why: str, *fields: tuple[str, str]) -> Response:
    return Response(status=status, body=f"{why}\n".encode(), fields=fields)


def _response(answer: Answer) -> Response:
    """What a handler's answer means.

    Raises:
        ValueError: it is too large.
    """
    if answer is None:
        return _failure(404, "not found")
    if isinstance(answer, Response):
        response = answer
    elif isinstance(answer, bytes | str):
        response = Response(body=answer.encode() if isinstance(answer, str) else answer)
    else:
        response = Response(body=msgspec.json.encode(answer), content_type="application/json")
    if len(response.body) > MAX_ANSWER:
        raise ValueError(f"an answer of {len(response.body)} bytes, more than {MAX_ANSWER}")
    return response
