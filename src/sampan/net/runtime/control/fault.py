"""Errors as a status and an object, and back: what a client raises is what the network raised."""

from __future__ import annotations

from http import HTTPStatus

import msgspec

from sampan.errors import (
    DocumentError,
    ExitCode,
    Problem,
    SampanError,
    UnsupportedError,
    UsageError,
)
from sampan.net.runtime.control import model
from sampan.net.runtime.control.message import Response
from sampan.net.runtime.forward.binding import PortTakenError
from sampan.net.runtime.forward.table import NoSuchForwardError


class NotFoundError(SampanError):
    """There is nothing by that name; the message says what was looked for."""


class ControlError(SampanError):
    """A network refused what it was asked. `status` is HTTP's."""

    def __init__(self, message: str, *, hint: str | None, status: int) -> None:
        super().__init__(message, hint=hint)
        self.status = status


def response(error: Exception) -> Response:
    """The answer to a call that failed with `error`; of our own faults it says no details."""
    if not isinstance(error, SampanError):
        said = model.Fault(
            code=ExitCode.BUG,
            message=f"this is a fault of Sampan: {type(error).__name__}",
            hint="the log of the network has the details",
        )
        return of(HTTPStatus.INTERNAL_SERVER_ERROR, said)
    return of(_status(error), fault(error))


def of(status: int, said: model.Fault, *, allow: tuple[str, ...] = ()) -> Response:
    """The answer that says this fault."""
    return Response(status=status, body=msgspec.json.encode(model.Failed(said)), allow=allow)


def fault(error: SampanError) -> model.Fault:
    """The error as an object."""
    owner = error.owner if isinstance(error, PortTakenError) else None
    problems = error.problems if isinstance(error, DocumentError) else ()
    return model.Fault(
        code=error.exit_code,
        message=error.message,
        hint=error.hint,
        owner=str(owner) if owner is not None else None,
        problems=tuple(
            model.FaultProblem(path=each.path, message=each.message, hint=each.hint)
            for each in problems
        ),
    )


def error_of(status: int, said: model.Fault) -> SampanError:
    """The error to raise in a client that got this answer."""
    if said.problems:
        return DocumentError(
            [Problem(each.path, each.message, hint=each.hint) for each in said.problems]
        )
    if said.code == ExitCode.USAGE:
        return UsageError(said.message, hint=said.hint)
    return ControlError(said.message, hint=said.hint, status=status)


def _status(error: SampanError) -> int:
    match error:
        case PortTakenError():
            return HTTPStatus.CONFLICT
        case NoSuchForwardError() | NotFoundError():
            return HTTPStatus.NOT_FOUND
        case UsageError() | DocumentError():
            return HTTPStatus.BAD_REQUEST
        case UnsupportedError():
            return HTTPStatus.NOT_IMPLEMENTED
        case _:
            return HTTPStatus.UNPROCESSABLE_ENTITY
