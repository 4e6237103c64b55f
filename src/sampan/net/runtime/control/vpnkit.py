"""VPNKit's port control over HTTP: how programs in a machine ask for ports of the host.

Paths, methods and JSON are those of VPNKit's vpnkit-expose-port (go/pkg/vpnkit/client.go and
http/http.go of its sources), which reaches them through vsock port `portcontrol.VSOCK_PORT` of
the host. Who serves this gives the socket that leads there to `Server`. Not there: `/forwards/dump`.

What is refused is answered with status 400 and a `message`, which that program shows.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol, TypeAlias

import msgspec

from sampan.errors import SampanError, UsageError
from sampan.net.runtime.control.message import Response
from sampan.net.runtime.control.route import Route, Table
from sampan.net.services.portcontrol import Port

_PREFIX = "/forwards"


class Exposing(Protocol):
    """What does as it is asked; called in the loop's thread. See `forward.asked`."""

    @property
    def ports(self) -> tuple[Port, ...]:
        """Those that listen."""

    def expose(self, port: Port) -> None:
        """Begin to listen."""

    def unexpose(self, port: Port) -> None:
        """Listen no more."""


class Refusal(msgspec.Struct, frozen=True):
    """Why not."""

    message: str


_Handler: TypeAlias = Callable[[Exposing, msgspec.Raw], Response]


def table(exposing: Exposing) -> Table[Exposing]:
    """What answers requests about the ports of one machine."""
    return Table(exposing, ROUTES)


def _list(exposing: Exposing, _: object) -> tuple[Port, ...]:
    return exposing.ports


def _expose(exposing: Exposing, body: msgspec.Raw) -> Response:
    return _done(exposing.expose, body)


def _unexpose(exposing: Exposing, body: msgspec.Raw) -> Response:
    return _done(exposing.unexpose, body)


def _done(do: Callable[[Port], None], body: msgspec.Raw) -> Response:
    try:
        do(_port(body))
    except SampanError as error:
        said = error.message if error.hint is None else f"{error.message} ({error.hint})"
        return Response(status=HTTPStatus.BAD_REQUEST, body=msgspec.json.encode(Refusal(said)))
    return Response()


def _port(body: msgspec.Raw) -> Port:
    try:
        return msgspec.json.decode(body, type=Port)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UsageError(f"that is no port: {error}") from None


def _row(method: str, path: str, handler: _Handler) -> Route[Exposing]:
    return Route(
        method=method, path=path, summary="As VPNKit's", handler=handler, argument=msgspec.Raw
    )


ROUTES: tuple[Route[Exposing], ...] = (
    *(
        _row(method, f"{_PREFIX}/expose/{kind}", _expose)
        for kind in ("port", "pipe")
        for method in ("PUT", "POST")
    ),
    *(
        _row(method, f"{_PREFIX}/unexpose/{kind}", _unexpose)
        for kind in ("port", "pipe")
        for method in ("DELETE", "POST")
    ),
    Route(
        method="GET", path=f"{_PREFIX}/list", summary="As VPNKit's", handler=_list,
        answer=tuple[Port, ...],
    ),
)  # fmt: skip
