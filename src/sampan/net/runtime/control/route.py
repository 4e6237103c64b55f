"""One call of an HTTP API as a row: method, path, types and handler; and the table of them.

A handler gets one argument, a value of the row's `argument` type: decoded from the body of a
POST or PUT, else from the query and the `{names}` of the path. It returns a value of the row's
`answer` type, or a Response or Stream of its own.

It may not know about sockets or HTTP's framing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, Generic, TypeVar

import msgspec

from sampan.base import log
from sampan.errors import ExitCode, SampanError, UsageError
from sampan.net.runtime.control import fault, model
from sampan.net.runtime.control.message import (
    JSON,
    Answer,
    Request,
    Response,
    Stream,
    Takeover,
)

_log = log.get(__name__)
_Target = TypeVar("_Target")
_WITH_BODY = ("POST", "PUT")
_NAME = re.compile(r"\{(\w+)\}")


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The argument of calls that take none."""


class Route(msgspec.Struct, Generic[_Target], frozen=True, kw_only=True):
    """One call. `argument` and `answer` are types that msgspec knows; `answer` None is an empty one.

    An argument of type `msgspec.Raw` is the body itself. `media` is the content type of answers
    that are not JSON. With `in_query` the argument never comes in the body.
    """

    method: str
    path: str
    summary: str
    handler: Callable[[_Target, Any], object]
    argument: Any = Nothing
    answer: Any = None
    status: int = HTTPStatus.OK
    media: str = JSON
    in_query: bool = False

    @property
    def has_body(self) -> bool:
        """Whether the argument comes in the body, as it does wherever it is taken as it stands."""
        is_raw = self.argument is msgspec.Raw
        takes = self.method in _WITH_BODY and not self.in_query
        return is_raw or (takes and self.argument is not Nothing)


class Table(Generic[_Target]):
    """Finds the route of a request and calls its handler with `target`."""

    def __init__(self, target: _Target, routes: Iterable[Route[_Target]]) -> None:
        self._target = target
        self.routes = tuple(routes)
        self._patterns = [(_pattern(route.path), route) for route in self.routes]

    def answer(self, request: Request) -> Answer:
        """The answer to a request, whatever it is: errors are answers too."""
        matches = [
            (found, route)
            for pattern, route in self._patterns
            if (found := pattern.fullmatch(request.path)) is not None
        ]
        if not matches:
            return fault.of(HTTPStatus.NOT_FOUND, _no_such_path(request.path))
        for found, route in matches:
            if route.method == request.method:
                return self._call(route, found.groupdict(), request)
        allow = tuple(route.method for _, route in matches)
        said = model.Fault(
            code=ExitCode.USAGE, message=f"{request.path} takes {', '.join(allow)} only"
        )
        return fault.of(HTTPStatus.METHOD_NOT_ALLOWED, said, allow=allow)

    def _call(self, route: Route[_Target], inline: dict[str, str], request: Request) -> Answer:
        try:
            argument = _argument(route, inline, request)
            answer = route.handler(self._target, argument)
        except SampanError as error:
            return fault.response(error)
        except Exception as error:  # noqa: BLE001  a fault of ours costs one call
            _log.exception("%s %s failed", route.method, route.path)
            return fault.response(error)
        if isinstance(answer, Response | Stream | Takeover):
            return answer
        body = b"" if route.answer is None else msgspec.json.encode(answer) + b"\n"
        return Response(status=route.status, body=body)


def _argument(route: Route[Any], inline: dict[str, str], request: Request) -> object:
    try:
        if route.has_body:
            return msgspec.json.decode(request.body, type=route.argument)
        values = {**request.query, **inline}
        return msgspec.convert(values, route.argument, strict=False)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        source = "the body" if route.has_body else "the query"
        raise UsageError(
            f"{source} of {route.method} {route.path} makes no sense: {error}",
            hint="GET /openapi.json describes it",
        ) from None


def _pattern(path: str) -> re.Pattern[str]:
    parts = (
        re.escape(text) if place % 2 == 0 else f"(?P<{text}>[^/]+)"
        for place, text in enumerate(_NAME.split(path))
    )
    return re.compile("".join(parts))


def _no_such_path(path: str) -> model.Fault:
    return model.Fault(
        code=ExitCode.USAGE,
        message=f"there is no {path[:200]}",
        hint="GET /openapi.json lists what there is",
    )
